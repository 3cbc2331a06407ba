"""What our modules remember of a process: a test begins without it, or it is of no call and nothing that is said once."""

import sys
from collections.abc import Callable
from typing import Any


def _unsaid(module: Any) -> None:
    module._told = False
    module.sessions_used = False


def _not_quiet(module: Any) -> None:
    module._told.clear()
    module._quiet = False


FORGOTTEN: dict[str, Callable[[Any], object]] = {
    "accounting.actions": lambda module: module.UNDER_WAY.set(None),
    "containers": lambda module: module._known.clear(),
    "integrations.langchain": lambda module: module._RUNS.clear(),
    "manual.calls": lambda module: module._OPEN.set(()),
    "manual.loop_guards": lambda module: module._LAST.set(None),
    "manual.pre_post_flight": lambda module: (module._pending.renew(), module._NEWEST.set(None)),
    "otel.blind": lambda module: module._warned.clear(),
    "otel.lost": _unsaid,
    "otel.open_spans": lambda module: module.CURRENT_FRAME.set(None),
    "otel.refusal_log": lambda module: module._counts.clear(),
    "otel.saying": _not_quiet,
    "otel.spawning": lambda module: module._told.clear(),
    "otel.unseen": lambda module: module._ends.clear(),
    "seams": lambda module: module._told.clear(),
}
"""What a context, or the process, remembers of calls and of what it said, and how it is forgotten before each test."""

STAYS = {
    "accounting.backlog": "weak: every fuse's, until it is gone",
    "api": "the guard of `init`: `_nothing_left_behind` ends it",
    "fuse": "weak: every fuse, until it is gone",
    "ledgers.leases.slices": "weak: every ledger's, until it is closed",
    "ledgers.memory_kind": "ledgers by the name that a test gives",
    "ledgers.postgres.connections": "what a fork must not close, for ever",
    "loops.rule": "a layout of records: its `append` changes nothing",
    "metrics": "weak, by fuse and by meter provider",
    "otel.active": "guards: `_nothing_left_behind` and e2e's `_guards_of_its_own` end them",
    "otel.agents": "which libraries are wrapped",
    "otel.aiohttp_body": "bodies by identity, which go with their answers",
    "otel.carrying": "what is wrapped",
    "otel.every_provider": "which provider is global, or ours",
    "otel.instrumentor": "which SDKs are wrapped, and what of them could not be",
    "otel.langchain_tools": "what is wrapped",
    "otel.noting": "weak, by fuse",
    "otel.openai_spans": "what is wrapped",
    "otel.opening": "who is told of each fuse, by import",
    "otel.patches": "which methods are replaced",
    "otel.process_guard": "the guard of zero-code, in processes of its own",
    "otel.sending": "which gate stands below, by import",
    "otel.websockets": "what is wrapped",
    "otel.wire_gate": "what is wrapped",
    "otel.wire_install": "which libraries are wrapped, and what of them could not be",
    "quoting.library": "where vocabularies come from, by import",
    "quoting.vocabularies": "vocabularies that are loaded: they never change",
    "webhook.poster": "weak: every webhook's, until it is closed",
}
"""Modules that keep something else, and what that is."""


def forget() -> None:
    """As in a process in which nothing was called or said yet."""
    for name, forgets in FORGOTTEN.items():
        module = sys.modules.get(f"agent_fuse.{name}")
        if module is not None:
            forgets(module)
