# SPDX-License-Identifier: MIT
"""A region for each test, a watchdog, and no file or process left behind."""

import faulthandler
import os
import re
import signal
from pathlib import Path

import deadbolt
import pytest

PREFIX = "deadbolt-python-test-"
ERRORS = pytest.StashKey[int]()


def _remove_leftovers():
    # A killed run's files go with the next one.
    for file in Path("/dev/shm").glob(PREFIX + "*"):
        owner = re.match(re.escape(PREFIX) + r"(\d+)", file.name)
        if owner and not Path("/proc", owner[1]).exists():
            file.unlink(missing_ok=True)


def pytest_configure(config):
    # A job in the background of a shell ignores Ctrl-C, and so would every program that it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    capture = config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        config.stash[ERRORS] = os.dup(2)


@pytest.fixture(autouse=True)
def watchdog(request):
    # pytest keeps what a test writes to stderr until the test is over.
    faulthandler.dump_traceback_later(120, exit=True, file=request.config.stash[ERRORS])
    yield
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture
def path():
    _remove_leftovers()
    file = Path("/dev/shm", f"{PREFIX}{os.getpid()}-{os.urandom(4).hex()}")
    yield file
    file.unlink(missing_ok=True)


@pytest.fixture
def region(path):
    made = deadbolt.Region(path, size=65536, members=64)
    yield made
    # Not closed: a failed test may have views of it left. The last reference does it.
