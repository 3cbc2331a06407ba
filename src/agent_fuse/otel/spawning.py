"""Spawning: a process that `multiprocessing` starts anew is guarded as the one that starts it is.

A forked process has its starter's guard. A spawned one, and one of a fork server (the default on most systems), is a
Python that knows nothing of it: the settings go along with the process object, and as it is unpacked, before the work
begins, the process guards itself by them, unless its program or its environment has done so. Sessions are handed over
by headers (`handing`); work that names none goes to its starter's default session, as it does after a fork.
"""

import logging
import pickle
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, cast

from agent_fuse.fuse import Fuse
from agent_fuse.ledgers.kinds import scheme_of
from agent_fuse.options import OPTIONS
from agent_fuse.otel import active
from agent_fuse.otel.context import default_session
from agent_fuse.otel.process_guard import guard_as
from agent_fuse.settings import Settings

log = logging.getLogger("agent_fuse")

_told: set[str] = set()


class _Handed:
    """Settings that guard the process in which they are unpacked."""

    def __init__(self, told: Mapping[str, Any]) -> None:
        self.told = told

    def __reduce__(self) -> tuple[Any, ...]:
        return _guard, (self.told,)


def taken_along(**instead: object) -> object:
    """What a process object is to take along, some options `instead` of ours; None where nothing guards."""
    guards = active.guards()
    if not guards:
        return None
    fuse: Fuse = guards[0].fuse
    told: dict[str, Any] = {}
    for one in fields(fuse.settings):
        value = instead.get(one.name, getattr(fuse.settings, one.name))
        value = dict(cast("Mapping[Any, Any]", value)) if isinstance(value, Mapping) else value
        try:
            pickle.dumps(value)
        except Exception:  # noqa: BLE001  whatever it is, it stays here
            _tell(
                one.name, f"{one.name} cannot be pickled: processes that multiprocessing spawns are guarded without it"
            )
        else:
            told[one.name] = value
    if scheme_of(fuse.settings.db_path) == "memory":
        _tell("db_path", "memory:// is this process's own: processes that multiprocessing starts count for themselves")
    told["session_id"] = fuse.settings.session_id or default_session()
    return _Handed(told)


def _tell(option: str, words: str) -> None:
    if option not in _told:
        _told.add(option)
        log.warning("%s", words)


def _guard(told: Mapping[str, Any]) -> None:
    """Guard this process, which has just begun.

    Raises:
        SentinelSystemError: the ledger cannot be opened, and fail_safe=True.
    """
    if not active.guards():
        guard_as(Settings(**cast("Any", {one.name: one.default for one in OPTIONS} | dict(told))))
