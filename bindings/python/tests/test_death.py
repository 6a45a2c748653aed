# SPDX-License-Identifier: MIT
"""Processes are killed by SIGKILL with locks held."""

import multiprocessing
import os
import random
import time

import deadbolt
import pytest
import workers

METHODS = ["fork", "spawn", "forkserver"]


def start(method, target, *args):
    """Another process, and a pipe to it that it waits on."""
    context = multiprocessing.get_context(method)
    ours, child = context.Pipe()
    process = context.Process(target=target, args=(*args, child), daemon=True)
    process.start()
    child.close()
    return process, ours


def kill(process):
    process.kill()
    process.join()
    assert process.exitcode == -9


@pytest.mark.parametrize("kind", ["mutex", "shared_mutex"])
@pytest.mark.parametrize("method", METHODS)
def test_next_owner_is_told_and_repairs(region, method, kind):
    lock = getattr(region, kind)("lock")
    process, pipe = start(method, workers.hold, lock)
    assert pipe.recv() == "held"
    assert lock.locked() and lock.acquire(blocking=False) is False
    kill(process)
    with pytest.raises(deadbolt.OwnerDied) as death:
        with lock:
            pytest.fail("the block ran on data that may be half-written")
    assert death.value.lock is lock and lock.locked()
    assert lock.mark_consistent() is True
    lock.release()
    with lock:
        pass


def test_the_next_process_is_told_of_a_process_that_was_told(region):
    lock = region.mutex("lock")
    first, pipe = start("fork", workers.hold, lock)
    assert pipe.recv() == "held"
    for _ in range(5):
        second, pipe2 = start("fork", workers.hold, lock)
        kill(first)
        assert pipe2.recv() == "owner died"
        first, pipe = second, pipe2
    kill(first)


def test_an_anonymous_region_reaches_every_kind_of_child():
    with deadbolt.Region.anonymous(4096, members=8) as region:
        lock = region.mutex("lock")
        for method in METHODS:
            process, pipe = start(method, workers.hold, lock)
            assert pipe.recv() == "held"
            kill(process)
            with pytest.raises(deadbolt.OwnerDied):
                lock.acquire()
            lock.mark_consistent()
            lock.release()


def test_recover_is_called_with_the_lock_held(region):
    called = []
    lock = region.mutex("lock", recover=lambda: called.append(lock.locked()))
    process, pipe = start("fork", workers.hold, lock)
    pipe.recv()
    kill(process)
    with lock:
        assert called == [True]
    with lock:
        assert called == [True]


@pytest.mark.parametrize("repair", [lambda: False, lambda: 1 / 0])
def test_a_failed_repair_makes_the_lock_unusable_and_hangs_nobody(region, repair):
    lock = region.mutex("lock", recover=repair)
    process, pipe = start("fork", workers.hold, lock)
    pipe.recv()
    kill(process)
    with pytest.raises((deadbolt.NotRecoverable, ZeroDivisionError)):
        lock.acquire()
    with pytest.raises(deadbolt.NotRecoverable):
        region.mutex("lock").acquire()


def test_ctrl_c_in_a_repair_leaves_the_lock_held(region):
    def interrupted():
        raise KeyboardInterrupt

    lock = region.mutex("lock", recover=interrupted)
    process, pipe = start("fork", workers.hold, lock)
    pipe.recv()
    kill(process)
    with pytest.raises(KeyboardInterrupt):
        lock.acquire()
    assert lock.locked() and lock.mark_consistent()
    lock.release()


def test_release_without_repair_is_not_recoverable(region):
    lock = region.mutex("lock")
    process, pipe = start("fork", workers.hold, lock)
    pipe.recv()
    kill(process)
    with pytest.raises(deadbolt.OwnerDied):
        lock.acquire()
    lock.release()
    with pytest.raises(deadbolt.NotRecoverable):
        lock.acquire()


def test_a_reader_is_told_and_a_dead_reader_is_forgotten(region):
    lock = region.shared_mutex("lock")
    process, pipe = start("fork", workers.hold, lock.shared)
    pipe.recv()
    assert lock.acquire(timeout=0.01) is False
    kill(process)
    with lock:
        pass
    process, pipe = start("fork", workers.hold, lock)
    pipe.recv()
    kill(process)
    with pytest.raises(deadbolt.OwnerDied):
        lock.shared.acquire()
    assert lock.shared.mark_consistent()
    lock.shared.release()


def test_permits_come_back(region):
    permits = region.semaphore("permits", 1)
    process, pipe = start("fork", workers.hold, permits)
    pipe.recv()
    assert permits.acquire(timeout=0.01) is False
    kill(process)
    with permits:
        pass


def test_waiter_on_a_condition_is_told_before_its_predicate_is_called(region):
    """The child takes the lock while this process waits, and is killed with it."""
    lock = region.mutex("lock")
    condition = region.condition("condition", lock)
    condition.acquire()
    process, pipe = start("fork", workers.hold_until_killed, lock)
    with pytest.raises(deadbolt.OwnerDied):
        condition.wait_for(lambda: False)
    assert lock.mark_consistent()
    condition.release()
    process.join()
    repaired = []
    lock = region.mutex("lock", recover=lambda: repaired.append(True))
    condition = region.condition("condition", lock)
    with condition:
        process, pipe = start("fork", workers.hold_until_killed, lock)
        assert condition.wait_for(lambda: repaired)
    process.join()


def test_a_thread_that_ends_with_a_lock_held_is_a_dead_owner(region):
    import threading

    lock = region.mutex("lock")
    thread = threading.Thread(target=lock.acquire)
    thread.start()
    thread.join()
    with pytest.raises(deadbolt.OwnerDied):
        lock.acquire()


def test_a_forked_child_does_not_own_its_parents_lock(region):
    lock = region.mutex("lock")
    with lock:
        child = os.fork()
        if child == 0:
            try:
                lock.release()
            except deadbolt.NotOwner:
                os._exit(lock.acquire(timeout=0.01) is not False)
            os._exit(2)
        assert os.waitpid(child, 0)[1] == 0
    with lock:
        pass


@pytest.mark.parametrize("method", METHODS)
def test_workers_killed_in_the_middle_hang_nobody(region, method):
    """Four processes move money; one after the other is killed at a random instant, and
    the sum stays right."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    accounts = region.memory("accounts", 32).cast("q")
    deaths = region.memory("deaths", 8).cast("q")
    rounds = 60 if method == "fork" else 8
    crew = [start(method, workers.transfer, region, "lock") for _ in range(4)]
    for _, pipe in crew:
        assert pipe.recv() == "ready"
    for _ in range(rounds):
        time.sleep(rng.uniform(0, 0.004))
        victim = rng.randrange(len(crew))
        kill(crew[victim][0])
        crew[victim] = start(method, workers.transfer, region, "lock")
        assert crew[victim][1].recv() == "ready"
    for process, _ in crew:
        kill(process)

    def repair():
        if accounts[2] == 1:
            accounts[0], accounts[1] = accounts[3], -accounts[3]
        accounts[2] = 0

    with region.mutex("lock", recover=repair):
        assert accounts[0] + accounts[1] == 0
    print(f"{rounds} kills, {deaths[0]} with the lock held")
    if method == "fork":
        assert deaths[0] > 0
