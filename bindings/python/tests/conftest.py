# SPDX-License-Identifier: MIT
"""A region for each test, a watchdog, and no file or process left behind."""

import faulthandler
import os
import re
from pathlib import Path

import deadbolt
import pytest

PREFIX = "deadbolt-python-test-"


def _remove_leftovers():
    # A killed run's files go with the next one.
    for file in Path("/dev/shm").glob(PREFIX + "*"):
        owner = re.match(re.escape(PREFIX) + r"(\d+)", file.name)
        if owner and not Path("/proc", owner[1]).exists():
            file.unlink(missing_ok=True)


@pytest.fixture(autouse=True)
def watchdog():
    faulthandler.dump_traceback_later(120, exit=True)
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
