# SPDX-License-Identifier: MIT
"""What methods return with more than one value in it."""

from __future__ import annotations

from typing import Literal, NamedTuple, Optional


class ObjectInfo(NamedTuple):
    """A named object of a region, as `objects()` lists it."""

    name: str
    offset: int  # from the start of the data
    size: int  # in bytes
    kind: Literal["mutex", "shared_mutex", "condition", "semaphore", "other"]


class Owner(NamedTuple):
    """Which thread owned a lock at one instant during `owner()`. A thread that is alive and has not
    detached is never reported dead. `elsewhere`: alive, in a PID namespace that is not known to be
    this one, so that its number here is not known."""

    state: Literal["not_held", "alive", "elsewhere", "dead", "not_recoverable", "unknown"]
    pid: Optional[int] = None  # both None unless the state is "alive"
    tid: Optional[int] = None
