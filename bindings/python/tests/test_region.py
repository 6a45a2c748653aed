# SPDX-License-Identifier: MIT
import gc
import os
import pickle
import threading

import deadbolt
import pytest


def test_open_without_a_size_needs_the_file(path):
    with pytest.raises(FileNotFoundError) as missing:
        deadbolt.Region(path)
    assert missing.value.filename == str(path)
    with deadbolt.Region(path, size=100) as made:
        assert (made.size, made.members, made.path) == (100, 1024, str(path))
        with deadbolt.Region(str(path)) as again:
            again.data[7] = 9
        assert made.data[7] == 9


def test_create_refuses_a_file_that_is_there(path):
    deadbolt.Region.create(path, 100, members=3, mode=0o640).close()
    assert os.stat(path).st_mode & 0o777 == 0o640
    with pytest.raises(FileExistsError):
        deadbolt.Region.create(path, 100)


def test_a_file_that_is_no_region_is_named(path):
    path.write_bytes(b"x" * 10000)
    with pytest.raises(deadbolt.RegionError, match="not_a_region"):
        deadbolt.Region(path)


@pytest.mark.parametrize("options", [{"size": 0}, {"size": -1}, {"size": 8, "members": 1 << 20}])
def test_options_out_of_range_are_value_errors(path, options):
    with pytest.raises(ValueError):
        deadbolt.Region(path, **options)


def test_path_is_a_str_also_when_bytes_were_given(path):
    with deadbolt.Region(bytes(path), size=100) as made:
        assert made.path == str(path)
    with deadbolt.ReadOnlyRegion(bytes(path)) as reader:
        assert reader.path == str(path)


def test_errors_of_the_system_keep_their_number():
    with pytest.raises(PermissionError if os.getuid() else OSError):
        deadbolt.Region("/proc/region", size=100)


def test_anonymous_region_is_shared_by_its_descriptor():
    with deadbolt.Region.anonymous(100, "test") as first:
        assert first.path is None
        with deadbolt.Region.from_descriptor(first) as second:
            second.data[3] = 5
        assert first.data[3] == 5
    with open("/dev/null") as other, pytest.raises(deadbolt.RegionError, match="not_a_region"):
        deadbolt.Region.from_descriptor(other)
    with pytest.raises(ValueError):
        deadbolt.Region.from_descriptor(-1)


def test_named_memory_is_zero_aligned_and_the_same_everywhere(region):
    numbers = region.memory("numbers", 80).cast("q")
    assert numbers.tolist() == [0] * 10
    numbers[9] = -1
    assert region.memory("numbers", 80).cast("q")[9] == -1
    assert bytes(numbers) in bytes(region.data)
    with pytest.raises(deadbolt.RegionError, match="other_kind"):
        region.memory("numbers", 88)
    with pytest.raises(deadbolt.RegionError, match="no_room"):
        region.memory("more", 1 << 20)
    for name in ("", "x" * 40, "nul\0"):
        with pytest.raises(ValueError):
            region.memory(name, 8)


def test_lock_at_an_offset_is_the_named_one(region):
    region.memory("first", 64)
    named = region.mutex("lock")
    at_offset = region.mutex(64)
    with named:
        assert at_offset.locked()
    for offset in (-1, 4, 65536, 65528, 1 << 70):
        with pytest.raises((ValueError, OverflowError)):
            region.mutex(offset)


@pytest.mark.parametrize("kind", ["mutex", "shared_mutex"])
def test_a_lock_has_its_data_behind_it(region, kind):
    region.memory("something", 8)
    lock = getattr(region, kind)("account", data=12)
    assert len(lock.data) == 12 and len(region.mutex("bare").data) == 0
    with lock:
        lock.data[11] = 7
    offset = bytes(region.data).index(7) - 11 - 16
    again = getattr(pickle.loads(pickle.dumps(region)), kind)("account", data=12)
    assert again.data == lock.data == region.data[offset + 16 : offset + 28]
    assert pickle.loads(pickle.dumps(lock)).data == lock.data
    with pytest.raises(deadbolt.RegionError):
        getattr(region, kind)("account")
    with pytest.raises(ValueError):
        getattr(region, kind)("other", data=-1)


def test_close_waits_for_no_memoryview_but_refuses(region):
    data = region.data
    part = region.memory("part", 8)
    with pytest.raises(BufferError, match="2 memoryviews"):
        region.close()
    data.release()
    part.release()
    gc.collect()
    region.close()
    assert region.closed and "closed" in repr(region)
    region.close()


def test_closed_region_and_its_locks_raise(region):
    lock, permits = region.mutex("lock"), region.semaphore("permits", 2)
    condition, shared = region.condition("condition", lock), region.shared_mutex("shared")
    region.close()
    uses = [
        lock.acquire, lock.release, lock.locked, lock.mark_consistent, permits.acquire,
        permits.release, condition.wait, condition.notify, condition.notify_all,
        shared.shared.acquire, shared.acquire, region.attach, region.detach, region.fileno,
        lambda: region.data, lambda: region.size, lambda: region.mutex("lock"),
        lambda: memoryview(region), lock.owner, region.objects, lambda: region.destroy("lock"),
        lambda: region.grow(1), lambda: region.largest_size, lambda: region.is_at("x"),
        lambda: lock.data,
    ]
    for use in uses:
        with pytest.raises(ValueError, match="closed"):
            use()


def test_a_full_table_is_an_error_and_no_abort(path):
    with deadbolt.Region(path, size=100, members=1) as region:
        lock = region.mutex("lock")
        raised = []

        def other():
            try:
                lock.acquire()
            except deadbolt.Error as error:
                raised.append(error)

        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        assert "table_full" in str(raised[0])
        assert region.detach() and not region.detach()
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        assert len(raised) == 1


def test_pickle_of_a_path_opens_the_same_region(region, path):
    lock = region.mutex("lock")
    condition = region.condition("condition", lock)
    things = (region, lock, condition, region.shared_mutex("s").shared, region.semaphore("p", 3))
    region2, lock2, condition2, shared2, permits2 = pickle.loads(pickle.dumps(things))
    assert region2.path == region.path and permits2.value == 3
    assert condition2.lock is lock2 and lock2.region is region2
    with lock:
        assert lock2.locked()
    with shared2:
        assert not region.shared_mutex("s").acquire(blocking=False)


def test_objects_are_collected_with_their_cycles(path):
    class Owner:
        pass

    import weakref

    owner = Owner()
    region = deadbolt.Region(path, size=100)
    owner.repair = lambda: owner
    owner.lock = region.mutex("lock", recover=owner.repair)
    gone = weakref.ref(owner)
    del owner
    gc.collect()
    assert gone() is None
