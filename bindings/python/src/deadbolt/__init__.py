# SPDX-License-Identifier: MIT
"""Locks in shared memory that survive the death of their owner.

    import deadbolt

    with deadbolt.Region("/dev/shm/bank", size=4096) as region:
        balance = region.memory("balance", 8).cast("q")
        lock = region.mutex("lock", recover=repair)
        with lock:
            balance[0] += 100

Any process that opens the file shares the locks and the data, in whatever language. A process
may be killed at any instruction: the next owner of its lock runs `recover`, or gets OwnerDied.
"""

from ._deadbolt import (
    AttachError,
    Condition,
    Deadlock,
    Error,
    LockError,
    Mutex,
    NotOwner,
    NotRecoverable,
    OwnerDied,
    ReadOnlyRegion,
    Region,
    RegionError,
    Semaphore,
    SharedMutex,
    SharedView,
)
from ._records import ObjectInfo, Owner

__all__ = [
    "AttachError",
    "Condition",
    "Deadlock",
    "Error",
    "LockError",
    "Mutex",
    "NotOwner",
    "NotRecoverable",
    "ObjectInfo",
    "Owner",
    "OwnerDied",
    "ReadOnlyRegion",
    "Region",
    "RegionError",
    "Semaphore",
    "SharedMutex",
    "SharedView",
]
