# SPDX-License-Identifier: MIT
import multiprocessing
import threading
import time

import deadbolt
import pytest


def in_thread(function):
    """What the function returns, or the exception that it raises, in another thread."""
    result = []

    def run():
        try:
            result.append(function())
        except BaseException as error:
            result.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return result[0]


@pytest.fixture(params=["mutex", "shared_mutex"])
def lock(request, region):
    return getattr(region, request.param)("lock")


def test_lock_excludes_and_says_so(lock):
    assert lock.acquire() is True
    assert lock.locked()
    assert in_thread(lambda: lock.acquire(blocking=False)) is False
    assert in_thread(lambda: lock.acquire(False)) is False
    assert in_thread(lambda: lock.acquire(timeout=0)) is False
    assert in_thread(lambda: lock.acquire(True, 0.01)) is False
    lock.release()
    assert not lock.locked()
    with lock as entered:
        assert entered is lock and lock.locked()
    assert not lock.locked()


def test_timeout_has_the_meaning_of_threading_and_multiprocessing(lock):
    assert lock.acquire(timeout=None) and not lock.release()
    assert lock.acquire(timeout=-1) and not lock.release()
    assert lock.acquire(timeout=1e30) and not lock.release()
    assert lock.acquire(timeout=-5) and not lock.release()
    with pytest.raises(ValueError):
        lock.acquire(blocking=False, timeout=1)
    with pytest.raises(ValueError):
        lock.acquire(timeout=float("nan"))
    with lock:
        start = time.monotonic()
        assert in_thread(lambda: lock.acquire(timeout=0.2)) is False
        assert time.monotonic() - start >= 0.2


def test_misuse_is_an_exception(lock):
    with pytest.raises(deadbolt.NotOwner) as error:
        lock.release()
    assert error.value.lock is lock
    with lock:
        with pytest.raises(deadbolt.Deadlock):
            lock.acquire()
        assert lock.acquire(blocking=False) is False
        assert isinstance(in_thread(lock.release), deadbolt.NotOwner)
        assert lock.mark_consistent() is False
    with pytest.raises(TypeError):
        type(lock)()
    with pytest.raises(TypeError):
        lock.region.mutex("lock2", recover=1)
    with pytest.raises(TypeError):
        lock.region.mutex(1.5)


def test_an_exception_in_the_block_releases_and_goes_on(lock):
    with pytest.raises(KeyError):
        with lock:
            raise KeyError
    assert not lock.locked()


def test_readers_share_and_writers_do_not(region):
    lock = region.shared_mutex("lock")
    with lock.shared:
        assert in_thread(lambda: (lock.shared.acquire(), lock.shared.release())[0]) is True
        assert in_thread(lambda: lock.acquire(timeout=0.01)) is False
        with pytest.raises(deadbolt.Deadlock):
            lock.acquire()
    with lock:
        assert in_thread(lambda: lock.shared.acquire(timeout=0.01)) is False


def test_policy_is_the_locks_own(region):
    assert region.shared_mutex("usual").policy == "writers_first"
    lock = region.shared_mutex("lock", policy="fair")
    assert lock.policy == "fair"
    with lock.shared:
        pass
    assert region.shared_mutex("lock").policy == "fair", "asked for none"
    assert region.shared_mutex("lock", policy="fair").policy == "fair"
    for other in "writers_first", "readers_first":
        with pytest.raises(deadbolt.RegionError, match="other_policy"):
            region.shared_mutex("lock", policy=other)
    with pytest.raises(ValueError):
        region.shared_mutex("third", policy="best")
    assert region.shared_mutex("data", data=8, policy="readers_first").policy == "readers_first"


def test_more_shared_holds_than_there_may_be_are_an_error(region):
    held = []
    with pytest.raises(deadbolt.LockError, match="too_many_holds"):
        for number in range(300):
            lock = region.shared_mutex(8 * 16 * number).shared
            lock.acquire()
            held.append(lock)
    assert len(held) == 256
    for lock in held:
        lock.release()


def test_semaphore_has_its_permits(region):
    permits = region.semaphore("permits", 2)
    assert permits.value == 2
    with permits:
        permits.acquire()
        assert in_thread(lambda: permits.acquire(timeout=0.01)) is False
        with pytest.raises(deadbolt.Deadlock):
            permits.acquire()
        permits.release()
        assert in_thread(lambda: permits.acquire(timeout=0.01)) is True
    with pytest.raises(deadbolt.NotOwner):
        permits.release()
    with pytest.raises(deadbolt.RegionError):
        region.semaphore("permits", 3)
    with pytest.raises(ValueError):
        region.semaphore("none", 0)


def test_waiting_gives_up_the_interpreter(region):
    """With the GIL held by the waiter, this thread would never release."""
    lock = region.mutex("lock")
    lock.acquire()
    waiting = threading.Event()

    def wait():
        waiting.set()
        with lock:
            pass

    thread = threading.Thread(target=wait)
    thread.start()
    waiting.wait()
    for _ in range(1000):
        time.sleep(0)
    lock.release()
    thread.join()


def test_close_refuses_while_a_thread_waits(region):
    lock = region.mutex("lock")
    lock.acquire()
    thread = threading.Thread(target=lambda: lock.acquire() and lock.release())
    thread.start()
    while True:
        try:
            region.memory("x", 8).release()
            view = region.data
            region.close()
        except BufferError as error:
            view.release()
            if " 2 " in str(error):
                break
        time.sleep(0)
    lock.release()
    thread.join()


def test_condition_is_shaped_as_threadings(region):
    lock = region.mutex("lock")
    condition = region.condition("condition", lock)
    box = region.memory("box", 8).cast("q")
    assert condition.lock is lock

    def put():
        for value in range(1, 101):
            with condition:
                condition.wait_for(lambda: box[0] == 0)
                box[0] = value
                condition.notify()

    thread = threading.Thread(target=put)
    thread.start()
    for value in range(1, 101):
        with condition:
            assert condition.wait_for(lambda: box[0], timeout=100) == value
            box[0] = 0
            condition.notify_all()
    thread.join()
    with condition:
        assert condition.wait_for(lambda: box[0] != 0, timeout=0.15) is False
        assert condition.wait(timeout=0) is False
        assert condition.wait() is True  # nobody notifies: the bound
        with pytest.raises(ZeroDivisionError):
            condition.wait_for(lambda: 1 / 0)
        assert lock.locked()
        condition.notify(3)
    with pytest.raises(deadbolt.NotOwner):
        condition.wait()
    with pytest.raises(ValueError):
        deadbolt.Region(region.path).condition("condition", lock)


@pytest.mark.parametrize("threads", [1, 4])
def test_nothing_is_lost_between_threads_and_processes(region, threads):
    import workers

    lock = region.mutex("lock")
    number = region.memory("number", 8).cast("q")
    context = multiprocessing.get_context("fork")
    ours, child = context.Pipe()
    process = context.Process(target=workers.add, args=(lock, region, 2000, child), daemon=True)
    process.start()

    def add():
        for _ in range(2000):
            with lock:
                number[0] += 1

    all_threads = [threading.Thread(target=add) for _ in range(threads)]
    for thread in all_threads:
        thread.start()
    for thread in all_threads:
        thread.join()
    assert ours.recv() == "done"
    assert number[0] == 2000 * (threads + 1)
    process.kill()
    process.join()
