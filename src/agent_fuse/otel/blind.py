"""What this process cannot see or stop through spans, and what to do about it."""

import logging
import os
from collections.abc import Callable, Iterable

from opentelemetry.sdk.trace import ConcurrentMultiSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased, Sampler

from agent_fuse.otel.facts import Fact, FactState, blind
from agent_fuse.otel.sampler import AgentFuseSampler
from agent_fuse.seams import GOES_ON, quietly

log = logging.getLogger("agent_fuse")

_warned: dict[str, Fact] = {}
_watchers: tuple[Callable[[], object], ...] = ()


def blind_at_start() -> list[Fact]:
    """Blind spots that the environment alone tells."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return [
            blind(
                "OTEL_SDK_DISABLED=true: no span is made, so only the openai and anthropic SDKs are guarded",
                "unset OTEL_SDK_DISABLED",
            )
        ]
    return []


def blind_by_span(span: object) -> list[Fact]:
    """Blind spots that a live span tells of the provider that made it."""
    sampler = getattr(span, "_sampler", None)
    found = blind_by_processor(getattr(span, "_span_processor", None))
    return found + (blind_by_sampler(sampler) if isinstance(sampler, Sampler) else [])


def blind_by_processor(processors: object) -> list[Fact]:
    """The blind spot of a provider whose span processors do not run where the call is made."""
    if not isinstance(processors, ConcurrentMultiSpanProcessor):
        return []
    return [
        blind(
            "the provider runs processors in pool threads (ConcurrentMultiSpanProcessor): sessions set in the "
            "calling context are not seen at spans",
            "use the default SynchronousMultiSpanProcessor",
        )
    ]


def blind_by_sampler(sampler: Sampler) -> list[Fact]:
    """The blind spot of a sampler that may drop spans."""
    always = sampler is ALWAYS_ON or isinstance(sampler, AgentFuseSampler)
    if isinstance(sampler, ParentBased):
        # Children of an unsampled remote parent are dropped, whatever the root sampler says.
        always = False
    if always or _default(sampler):
        return []
    return [
        blind(
            f"the sampler {sampler.get_description()} drops spans: calls in them pass the span gates",
            "wrap it: TracerProvider(sampler=AgentFuseSampler(sampler)), or use agent_fuse.init()",
        )
    ]


def _default(sampler: Sampler) -> bool:
    """The SDK's default drops only under an unsampled parent, which is rare enough not to warn everybody."""
    return isinstance(sampler, ParentBased) and getattr(sampler, "_root", None) is ALWAYS_ON


def known_blind() -> list[str]:
    """The blind spots that were found in this process so far."""
    return sorted(_warned)


def known() -> list[Fact]:
    """The same, with what to do about each."""
    return list(_warned.values())


def warn_of(found: Iterable[Fact]) -> None:
    """Say each blind spot loudly, once in this process, and note it in the ledger; other facts are no news."""
    fresh = [one for one in found if one.state is FactState.BLIND and one.what not in _warned]
    for one in fresh:
        _warned[one.what] = one
        log.warning("AgentFuse is partly blind: %s; %s", one.what, one.fix)
    if fresh:
        changed()


def on_change(watcher: Callable[[], object]) -> None:
    """Tell this one when something is found blind."""
    global _watchers
    _watchers = tuple(dict.fromkeys((*_watchers, watcher)))


def changed() -> None:
    """Something is found blind: whoever reads the ledger is to know."""
    for watcher in _watchers:
        quietly("noting a blind spot", GOES_ON, watcher)
