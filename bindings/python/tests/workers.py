# SPDX-License-Identifier: MIT
"""What the tests' other processes run. They end when the pipe to the test does."""

import os
import random
import signal
import time

import deadbolt


def wait_for_end(pipe):
    try:
        pipe.recv()
    except EOFError:
        pass
    os._exit(0)


def hold(lock, pipe):
    """Acquires, says so, and holds until told to release, or until the test ends."""
    try:
        lock.acquire()
        pipe.send("held")
    except deadbolt.OwnerDied:
        pipe.send("owner died")
    try:
        pipe.recv()
    except EOFError:
        os._exit(0)
    lock.release()
    pipe.send("released")
    wait_for_end(pipe)


def hold_until_killed(lock, pipe):
    with lock:
        os.kill(os.getpid(), signal.SIGKILL)


def add(lock, region, times, pipe):
    """Adds to a number that only the lock keeps right: read and write are apart."""
    number = region.memory("number", 8).cast("q")
    for _ in range(times):
        with lock:
            seen = number[0]
            if seen % 64 == 0:
                time.sleep(0)
            number[0] = seen + 1
    pipe.send("done")
    wait_for_end(pipe)


def transfer(region, name, pipe):
    """Moves money between two accounts for ever; `moved` is what a death leaves undone."""
    accounts = region.memory("accounts", 32).cast("q")

    def repair():
        if accounts[2] == 1:  # neither, one or both of the accounts may be written
            accounts[0] = accounts[3]
            accounts[1] = -accounts[3]
        accounts[2] = 0
        deaths[0] += 1

    deaths = region.memory("deaths", 8).cast("q")
    lock = region.mutex(name, recover=repair)
    pipe.send("ready")
    while True:
        with lock:
            assert accounts[0] + accounts[1] == 0
            amount = random.randint(-99, 99)
            accounts[3] = accounts[0]
            accounts[2] = 1
            accounts[0] += amount
            for _ in range(random.randint(0, 50)):
                pass
            accounts[1] -= amount
            accounts[2] = 0
