# SPDX-License-Identifier: MIT
"""How regions and locks reach another process by pickle: multiprocessing's `spawn` and
`forkserver` send the arguments of a Process so. What arrives is a handle on the same region."""

from __future__ import annotations

from typing import Any, Union

from ._deadbolt import Condition, Mutex, Region, SharedMutex, SharedView


def reduce_region(region: Region) -> tuple[Any, ...]:
    if region.path is not None:
        return Region, (region.path,)
    # While a Process is being started, it takes the descriptor along; at any other time a thread of
    # this process hands it over.
    from multiprocessing.reduction import DupFd

    return _from_sent_descriptor, (DupFd(region.fileno()),)


def _from_sent_descriptor(sent: Any) -> Region:
    import os

    descriptor = sent.detach()
    try:
        return Region.from_descriptor(descriptor)
    finally:
        os.close(descriptor)


def reduce_lock(
    region: Region, kind: str, name: Union[str, int], *arguments: Any
) -> tuple[Any, ...]:
    return _find_lock, (region, kind, name, *arguments)


def _find_lock(region: Region, kind: str, name: Union[str, int], *arguments: Any) -> Any:
    return getattr(region, kind)(name, *arguments)


def reduce_shared(lock: SharedMutex) -> tuple[Any, ...]:
    return _shared, (lock,)


def _shared(lock: SharedMutex) -> SharedView:
    return lock.shared


def reduce_condition(name: Union[str, int], lock: Mutex) -> tuple[Any, ...]:
    return _condition, (name, lock)


def _condition(name: Union[str, int], lock: Mutex) -> Condition:
    return lock.region.condition(name, lock)
