"""The process-wide fuse: `init`, `session`, `monitor`, `remaining`."""

import logging
import os
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import Token
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, Never, TypeVar, Unpack

from opentelemetry import context
from opentelemetry.sdk.trace import TracerProvider

from agent_fuse import sessions, spend, terms
from agent_fuse.calls import Usd
from agent_fuse.errors import ConfigurationError, SentinelError
from agent_fuse.fuse import Fuse
from agent_fuse.limits import Limit, Session, keys_of
from agent_fuse.locks import Lock
from agent_fuse.mistakes import spelled
from agent_fuse.option_types import MoreOptions
from agent_fuse.otel import active, lost
from agent_fuse.otel.blind import warn_of
from agent_fuse.otel.context import AGENT, session_in, with_final, with_session
from agent_fuse.otel.gate import fail_safe, guarded_call_site
from agent_fuse.otel.installing import global_provider, instrument_when_used, is_on, wrap_sampler
from agent_fuse.otel.instrumentor import install
from agent_fuse.otel.live_spans import LIVE_SPANS
from agent_fuse.otel.opening import open_fuse
from agent_fuse.otel.self_test import self_test
from agent_fuse.otel.span_processor import AgentFuseSpanProcessor
from agent_fuse.prices import Prices
from agent_fuse.seams import GOES_ON, judge, quietly
from agent_fuse.settings import settings
from agent_fuse.spend import Remaining, UsageStats

if TYPE_CHECKING:
    from agent_fuse.ring_fences import RingFence

log = logging.getLogger("agent_fuse")

F = TypeVar("F", bound=Callable[..., Any])

_lock = Lock()
_private: TracerProvider | None = None
_made: AgentFuseSpanProcessor | None = None
"""The processor that `init` made."""
_SESSION = "opening a session"
_BESIDE = (
    "init() guards the global tracer provider; the AgentFuseSpanProcessor on another provider still guards that one's "
    "spans by its own limits: remove one of them if a single budget was meant"
)


def init(  # noqa: PLR0917  the order that users of the original package know
    budget: Usd | None = None,
    fail_safe: bool | None = None,
    session_id: str | None = None,
    db_path: str | None = None,
    loop_threshold: int | None = None,
    loop_detection_enabled: bool | None = None,
    *,
    limits: Sequence[Limit] | Limit | str | os.PathLike[str] = (),
    strict: bool | None = None,
    prices: Prices | None = None,
    **options: Unpack[MoreOptions],
) -> AgentFuseSpanProcessor:
    """Guard this process: spans of the global tracer provider, the openai and anthropic SDKs, and others on the wire.

    On the wire: model requests that leave by httpx, httpx2, urllib3 (requests, botocore), aiohttp or urllib.

    Adds a processor and a sampler to the global SDK provider, or to a private one where there is none, and turns the
    installed openai and langchain instrumentations on, unless they are, once those libraries are imported. A second
    `init` replaces the settings; a processor that someone put on another provider keeps guarding its spans by its own.

    Args:
        budget: most a session may spend, USD; AGENTFUSE_BUDGET or 1.00 when neither it nor `limits` is given.
        options: the others of `agent_fuse.options.OPTIONS` (docs/settings.md).

    Raises:
        ConfigurationError: a bad option. SentinelSystemError: the ledger cannot be opened and fail_safe=True.
    """
    global _private, _made
    found = settings(
        budget=budget,
        fail_safe=fail_safe,
        session_id=session_id,
        db_path=db_path,
        loop_threshold=loop_threshold,
        loop_detection_enabled=loop_detection_enabled,
        limits=limits or None,
        strict=strict,
        prices=prices,
        **options,
    )
    fuse = open_fuse(found)
    with _lock:
        provider = global_provider()
        if provider is None:
            provider = _private = _private or TracerProvider()
        processor = _guard_of(provider)
        if processor is not None:
            processor.use(fuse)
            if found.request_gate:
                install()  # the settings before had none, or something took it out again
        else:
            if active.guards():
                log.warning(_BESIDE)
            processor = _made = AgentFuseSpanProcessor(fuse=fuse)
        if not is_on(provider, processor):
            provider.add_span_processor(processor)
            wrap_sampler(provider)
            warn_of([self_test(provider)])
            instrument_when_used(provider)
    return processor


def _guard_of(provider: TracerProvider) -> AgentFuseSpanProcessor | None:
    """The guard whose settings a further `init` replaces: the provider's own, the process's, or an earlier `init`'s."""
    for one in active.guards():
        if isinstance(one, AgentFuseSpanProcessor) and (one is _made or one.everywhere or is_on(provider, one)):
            return one
    return None


def current() -> Fuse:
    """The fuse of this process; `init()` with the defaults when there is none yet."""
    return (_processor() or init()).fuse


def _processor() -> AgentFuseSpanProcessor | None:
    return next((one for one in active.guards() if isinstance(one, AgentFuseSpanProcessor)), None)


def session(
    id: str,
    budget: Usd | None = None,
    *,
    limits: Sequence[Limit] | Limit = (),
    user_id: str | None = None,
    attributes: Mapping[str, str | float | None] | None = None,
    on_child_trip: Literal["raise", "end"] = "raise",
    ring_fenced: bool = False,
    **deprecated: Never,
) -> AbstractContextManager[Session]:
    """Calls inside belong to this session, with its own budget and limits; the sessions around it bind too.

    Args:
        id: name of the session; the same name later, or in another process, goes on with the same account.
        budget: USD, or a share of what is left around it as it is opened, such as `"20%"`; where left out, the fuse's
            own budget per session holds.
        limits: further limits of this session; one per session replaces the fuse's of the same meter.
        user_id: whose run it is, for limits per `user.id`.
        attributes: further keys for limits, under the names that the limits use.
        on_child_trip: what a trip of a session inside it, by a limit or loop of its own or of one further in, does
            where that one is left: `"raise"` goes on to whoever is around; `"end"` ends the inner one, whose `trip`
            says why.
        ring_fenced: keep its budget for it until it ends: nobody around or beside it can spend that.
        deprecated: other keywords were attributes (`user_month=` is `user.month`); they warn, and will be an error,
            as they are to type checkers already.

    Raises:
        ConfigurationError: a bad or misspelt argument. SentinelBudgetExceeded: there is not so much left to ring-fence.
    """
    keys: dict[str, Any] = {"attributes": attributes, "user_id": user_id, "others": deprecated}
    own = judge(_SESSION, fail_safe, _own, id, budget, limits, on_child_trip, **keys)
    if deprecated:
        sessions.warn_of(deprecated)
    fenced = judge(_SESSION, fail_safe, sessions.is_fenced, id, ring_fenced, budget)
    return _session(id, own, ring_fenced=fenced is True)


def _own(
    id: str,
    budget: Usd | None,
    limits: object,
    on_child_trip: Literal["raise", "end"],
    *,
    attributes: object,
    user_id: object,
    others: Mapping[str, object],
) -> tuple[Session, Decimal | None]:
    terms.name("session", "id", id)
    if on_child_trip not in ("raise", "end"):
        raise ConfigurationError(f"session on_child_trip is {on_child_trip!r}; it must be 'raise' or 'end'")
    share = sessions.share(budget)
    own = sessions.own_limits(budget if share is None else None, limits)
    if any(one.on_tight == "downgrade" for one in own):
        sessions.need_ladder([one.fuse.settings for one in active.guards()])
    keys = sessions.keys(attributes, user_id, others)
    return Session(id=id, limits=own, attributes=keys, on_child_trip=on_child_trip), share


@contextmanager
def _session(id: str, own: tuple[Session, Decimal | None] | None, *, ring_fenced: bool) -> Generator[Session]:
    opened = judge(_SESSION, fail_safe, _inner, *own, ring_fenced=ring_fenced) if own is not None else None
    inner, fence = opened or (None, None)
    at = judge(_SESSION, fail_safe, with_session, inner) if inner is not None else None
    if inner is None or at is None:
        yield Session(id=id)  # fail_safe=False: what is inside is nobody's session but the one around
        return
    quietly(_SESSION, GOES_ON, lost.in_use)
    quietly(_SESSION, GOES_ON, _want_spans, inner)
    quietly(_SESSION, GOES_ON, spend.KNOWN.met, inner)
    token = context.attach(at)
    try:
        yield inner
    except SentinelError as trip:
        if quietly(_SESSION, GOES_ON, sessions.ends_child, inner, trip, spend.KNOWN.get) is not True:
            raise
        object.__setattr__(inner, "trip", trip)
    finally:
        context.detach(token)
        quietly(_SESSION, GOES_ON, spend.LEFT.set, inner)
        if fence is not None:
            quietly("giving back what was ring-fenced", "it is kept for a day at most", fence.end)


@contextmanager
@spelled()
def agent(name: str) -> Generator[None]:
    """Calls inside are this agent's, for limits `per="agent"` and in reports, also in the threads their work starts.

    Frameworks that AgentFuse knows name their agents themselves (docs/agents.md); an agent inside another counts alone.

    Raises:
        ConfigurationError: a name that is empty, or no text.
    """
    token = judge("naming an agent", fail_safe, _named, name)
    try:
        yield
    finally:
        if token is not None:
            AGENT.reset(token)


def _named(name: str) -> Token[str]:
    return AGENT.set(terms.name("agent", "name", name))


@contextmanager
@spelled()
def final() -> Generator[None]:
    """Calls inside may use what limits keep with `reserve`: for the answer that ends a run whose budget is used up."""
    at = judge("opening a last answer", fail_safe, with_final)
    token = context.attach(at) if at is not None else None
    try:
        yield
    finally:
        if token is not None:
            context.detach(token)


def _want_spans(inner: Session) -> None:
    """Limits of a session's own may ask for keys that only the spans around a call tell."""
    if keys_of(inner.limits):
        LIVE_SPANS.want()


def _inner(own: Session, share: Decimal | None, *, ring_fenced: bool) -> "tuple[Session, RingFence | None]":
    if ring_fenced:
        from agent_fuse.ring_fences import opened  # noqa: PLC0415  few are

        site = guarded_call_site(init, asks=False)
        own, fence = opened(site.fuse, site.caller, own, share)
        return replace(own, parent=session_in()), fence
    limits = own.limits if share is None else (sessions.slice_of(remaining().usd, share), *own.limits)
    return replace(own, limits=limits, parent=session_in()), None


@spelled()
def monitor(session: str | Session | None = None) -> UsageStats:
    """What was spent so far, in the session one is in, or in another, also after it has ended.

    Args:
        session: its name, or what `session()` gave. Where left out, and outside any session: that of the calls which
            name none; where there were no such calls, the session that was left last here.

    Raises:
        ConfigurationError: the name is empty. SentinelSystemError: the ledger cannot be read and fail_safe=True.
    """
    site = guarded_call_site(init, asks=False)
    if session is None:
        return spend.usage_stats_here(site.fuse, site.caller)
    of = session if isinstance(session, Session) else terms.name("monitor", "session", session)
    return spend.usage_stats(site.fuse, spend.of_session(site.fuse, of))


@spelled()
def remaining() -> Remaining:
    """What calls made here may still ask for: of the session one is in, and of every limit that would bind them.

    Its `str` is a line that can be told to a model.

    Raises:
        SentinelSystemError: the ledger cannot be read and fail_safe=True.
    """
    site = guarded_call_site(init, asks=False)
    return spend.remaining(site.fuse, site.caller)
