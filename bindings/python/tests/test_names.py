# SPDX-License-Identifier: MIT
"""Named objects are found, listed and destroyed; regions grow; some are read only."""

import multiprocessing
import os
import pickle
import threading

import deadbolt
import pytest
import workers


def test_find_makes_nothing(region):
    lock = region.mutex("there")
    finds = [
        lambda name: region.mutex(name, create=False),
        lambda name: region.shared_mutex(name, create=False),
        lambda name: region.condition(name, lock, create=False),
        lambda name: region.semaphore(name, 2, create=False),
        lambda name: region.memory(name, 8, create=False),
        lambda name: region.mutex(name, data=8, create=False),
    ]
    for find in finds:
        with pytest.raises(KeyError, match="missing"):
            find("missing")
    assert [info.name for info in region.objects()] == ["there"]
    with region.mutex("there", create=False):
        assert lock.locked()
    with pytest.raises(deadbolt.RegionError, match="other_kind"):
        region.memory("there", 16, create=False)


def test_objects_lists_name_place_size_and_kind(region):
    assert region.objects() == []
    lock = region.mutex("lock")
    region.memory("numbers", 80, 64)
    region.shared_mutex("shared")
    region.condition("condition", lock)
    region.semaphore("permits", 3)
    region.mutex("account", data=8)
    listed = {info.name: info for info in region.objects()}
    assert {name: (info.size, info.kind) for name, info in listed.items()} == {
        "lock": (16, "mutex"),
        "numbers": (80, "other"),
        "shared": (16, "shared_mutex"),
        "condition": (4, "condition"),
        "permits": (24, "semaphore"),
        "account": (24, "other"),
    }
    region.memory("numbers", 80, 64)[79] = 7
    assert region.data[listed["numbers"].offset + 79] == 7
    assert listed["numbers"].offset % 64 == 0
    with lock:
        assert region.mutex(listed["lock"].offset).locked()


def test_destroy_gives_name_and_bytes_back(region):
    region.memory("first", 65536 - 64)[0] = 9
    with pytest.raises(deadbolt.RegionError, match="no_room"):
        region.memory("second", 4096)
    region.destroy("first")
    assert region.objects() == []
    assert region.memory("second", 4096)[0] == 0
    # The name is free for another kind.
    with region.mutex("first"):
        pass
    for name in ("first", "second"):
        region.destroy(name)
    for wrong, error in (("first", KeyError), ("", ValueError), ("x" * 40, ValueError)):
        with pytest.raises(error):
            region.destroy(wrong)
    with pytest.raises(TypeError):
        region.destroy(0)


def test_destroy_refuses_a_lock_that_is_held_or_whose_next_owner_is_to_be_told(region):
    lock, permits = region.mutex("lock"), region.semaphore("permits", 2)
    with lock, permits:
        for name in ("lock", "permits"):
            with pytest.raises(deadbolt.RegionError, match=f"in_use: '{name}'"):
                region.destroy(name)
    thread = threading.Thread(target=lock.acquire)
    thread.start()
    thread.join()
    with pytest.raises(deadbolt.RegionError, match="in_use"):
        region.destroy("lock")
    with pytest.raises(deadbolt.OwnerDied):
        lock.acquire()
    lock.mark_consistent()
    lock.release()
    region.destroy("lock")
    region.destroy("permits")
    assert region.objects() == []


def test_a_region_grows_for_every_process_and_keeps_its_memoryviews(path):
    page = os.sysconf("SC_PAGESIZE")
    with deadbolt.Region(path, size=page, largest=16 * page) as region:
        assert (region.size, region.largest_size) == (page, 16 * page)
        with deadbolt.Region(path) as other, region.data as before:
            before[5] = 6
            with pytest.raises(deadbolt.RegionError, match="no_room"):
                region.memory("large", 8 * page)
            assert region.grow(9 * page) is None
            assert region.size == other.size == 9 * page
            assert before.nbytes == page and before[5] == 6
            with region.memory("large", 8 * page) as large:
                large[-1] = 3
            with other.memory("large", 8 * page, create=False) as large:
                assert large[-1] == 3
            region.grow(page)  # it is as large already
            assert region.size == 9 * page
            with pytest.raises(ValueError, match=str(16 * page)):
                region.grow(17 * page)
            with pytest.raises(OverflowError):
                region.grow(-1)
    with deadbolt.Region.anonymous(page, largest=2 * page) as region:
        region.grow(2 * page)
        assert region.size == 2 * page
    with deadbolt.Region.anonymous(page) as region:
        assert region.largest_size == page


def test_is_at_tells_a_file_that_was_replaced(region, path):
    reader = deadbolt.ReadOnlyRegion(path)
    assert region.is_at(path) and reader.is_at(path)
    path.unlink()
    assert not region.is_at(path) and not reader.is_at(path)
    deadbolt.Region.create(path, 100).close()
    assert not region.is_at(str(path)) and not reader.is_at(str(path))


def test_open_or_replace_makes_a_damaged_file_anew(path):
    with deadbolt.Region.open_or_replace(path, 100) as region:
        region.data[0] = 1
        with deadbolt.Region.open_or_replace(path, 100) as again:
            assert again.data[0] == 1
    os.truncate(path, 4096)
    with pytest.raises(deadbolt.RegionError, match="truncated"):
        deadbolt.Region(path, size=100)
    with deadbolt.Region.open_or_replace(path, 100) as region:
        assert region.data[0] == 0


# ---- owners ----


@pytest.mark.parametrize("kind", ["mutex", "shared_mutex"])
def test_owner_is_the_thread_that_holds_the_lock(region, kind):
    lock = getattr(region, kind)("lock")
    assert lock.owner() == ("not_held", None, None)
    with lock:
        owner = lock.owner()
        assert owner == deadbolt.Owner("alive", os.getpid(), threading.get_native_id())
        assert (owner.state, owner.pid) == ("alive", os.getpid())
    context = multiprocessing.get_context("fork")
    ours, child = context.Pipe()
    process = context.Process(target=workers.hold, args=(lock, child), daemon=True)
    process.start()
    child.close()
    assert ours.recv() == "held"
    assert lock.owner() == ("alive", process.pid, process.pid)
    process.kill()
    process.join()
    assert lock.owner().state == "dead" and lock.locked()
    with pytest.raises(deadbolt.OwnerDied):
        lock.acquire()
    lock.release()
    assert lock.owner() == ("not_recoverable", None, None) and not lock.locked()


def test_a_lock_that_one_thread_took_many_times_is_not_held(region):
    """The library makes such a mutex biased: its word names the thread, held or not."""
    lock = region.mutex("lock")
    for _ in range(1000):
        with lock:
            pass
    assert not lock.locked() and lock.owner().state == "not_held"
    with lock:
        assert lock.locked() and lock.owner().tid == threading.get_native_id()
    assert not lock.locked()
    region.destroy("lock")
    assert region.objects() == []


# ---- reading alone ----


def test_a_read_only_region_sees_what_others_write_and_writes_nothing(region, path):
    with deadbolt.ReadOnlyRegion(path) as reader:
        assert (reader.size, reader.path, reader.closed) == (65536, str(path), False)
        assert reader.objects() == []
        with pytest.raises(KeyError, match="numbers"):
            reader.memory("numbers", 16)
        numbers = region.memory("numbers", 16).cast("q")
        with reader.memory("numbers", 16) as seen:
            numbers[1] = -5
            assert seen.readonly and seen.cast("q").tolist() == [0, -5]
            with pytest.raises(TypeError):
                seen[0] = 1
        assert reader.objects() == region.objects()
        with pytest.raises(deadbolt.RegionError, match="other_kind"):
            reader.memory("numbers", 8)
        for wrong in ("", "x" * 40):
            with pytest.raises(ValueError):
                reader.memory(wrong, 8)
        with pytest.raises(ValueError):
            reader.memory("numbers", 0)
        view = memoryview(reader)
        assert view.readonly and reader.data == region.data
        with pytest.raises(BufferError, match="1 memoryviews"):
            reader.close()
        view.release()
        again = pickle.loads(pickle.dumps(reader))
        assert again.objects() == region.objects() and str(path) in repr(again)
    assert reader.closed
    for use in (reader.objects, lambda: reader.size, lambda: reader.data,
                lambda: reader.memory("numbers", 16), lambda: reader.is_at(path)):
        with pytest.raises(ValueError, match="closed"):
            use()


def test_a_read_only_region_is_opened_by_a_descriptor_for_reading(path):
    deadbolt.Region(path, size=4096).close()
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with deadbolt.ReadOnlyRegion.from_descriptor(descriptor) as reader:
            assert reader.path is None and reader.size == 4096
            with pytest.raises(TypeError, match="pickle"):
                pickle.dumps(reader)
    finally:
        os.close(descriptor)


def test_a_read_only_region_names_its_errors(path):
    with pytest.raises(FileNotFoundError):
        deadbolt.ReadOnlyRegion(path)
    path.write_bytes(b"x" * 10000)
    with pytest.raises(deadbolt.RegionError, match="not_a_region"):
        deadbolt.ReadOnlyRegion(path)
