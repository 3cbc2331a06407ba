"""A survey of this process: which instrumentations are active, which gates cover them, what is blind, what to do."""

import gc
import sys
from collections.abc import Iterator

from opentelemetry import trace
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]
from opentelemetry.sdk.trace import Tracer, TracerProvider

from agent_fuse.accounting.keyed import how, missing
from agent_fuse.dialects import Dialects
from agent_fuse.dialects.base import Dialect
from agent_fuse.otel import active, agents, carrying, instrumentor, langchain_tools, openai_spans
from agent_fuse.otel.blind import blind_at_start, blind_by_processor, blind_by_sampler, known
from agent_fuse.otel.facts import Fact, FactState, blind, off, ok
from agent_fuse.otel.model_sdks import installed, of_model_sdks
from agent_fuse.otel.self_test import guards_of, self_test
from agent_fuse.otel.unguarded import unguarded
from agent_fuse.otel.unseen import unseen_ends
from agent_fuse.otel.web_handlers import of_handlers

__all__ = ["Fact", "FactState", "survey"]

_FRAMEWORKS = {"langchain_core": "langchain", "agents": "openai-agents"}
"""Modules whose tool calls only an instrumentation shows, and what people call them."""

_GATE_OFF = "request_gate=True, or unset AGENTFUSE_REQUEST_GATE"


def survey(provider: TracerProvider | None = None) -> list[Fact]:
    """What guards this process, and what does not.

    Tracers are looked for among all live objects, which takes a tenth of a second or so: this is for start-up checks
    and for a person, not for the path of a call.

    Args:
        provider: the tracer provider to judge; the global one when None, else the one that AgentFuse is on.
    """
    if not active.guards():
        return [*blind_at_start(), unguarded()]
    tracers = [one for one in gc.get_objects() if issubclass(type(one), Tracer)]
    provider = provider or _provider()
    return list(
        dict.fromkeys(
            [
                *blind_at_start(),
                *_of_provider(provider),
                *_of_threads(),
                *_of_agents(),
                *_of_keys(),
                *of_handlers(),
                *(fact for sdk in instrumentor.SDKS for fact in _of_sdk(sdk)),
                *of_model_sdks(),
                *_of_instrumentations(tracers),
            ]
        )
    )


def blind_spots() -> list[Fact]:
    """What is blind, as far as it is known without a look at all live objects."""
    found = [
        *known(),
        *blind_at_start(),
        *_of_threads(),
        *_of_agents(),
        *_of_keys(),
        *of_handlers(),
        *(fact for sdk in instrumentor.SDKS for fact in _of_sdk(sdk)),
        *of_model_sdks(),
    ]
    return list({one.what: one for one in found if one.state is FactState.BLIND}.values())


def _provider() -> TracerProvider | None:
    """The global provider where it is the SDK's, else one that a guard was added to."""
    found = trace.get_tracer_provider()
    if isinstance(found, TracerProvider):
        return found
    known = (one for one in gc.get_objects() if issubclass(type(one), TracerProvider))
    return next((one for one in known if guards_of(getattr(one, "_active_span_processor", None))), None)


def _of_provider(provider: TracerProvider | None) -> Iterator[Fact]:
    if provider is None:
        yield blind(
            "no tracer provider of the SDK holds AgentFuse's processor: spans are not guarded",
            "call agent_fuse.init() after trace.set_tracer_provider(TracerProvider())",
        )
        return
    processors = getattr(provider, "_active_span_processor", None)
    yield from blind_by_processor(processors)
    if not guards_of(processors):
        yield blind(
            "AgentFuse's processor is on another tracer provider than this one: spans of this one are not guarded",
            "provider.add_span_processor(AgentFuseSpanProcessor(...)) on the provider that the instrumentations use",
        )
        return
    yield from blind_by_sampler(provider.sampler)
    yield self_test(provider)


def _of_threads() -> Iterator[Fact]:
    if carrying.problem:
        yield blind(carrying.problem, "enter agent_fuse.session() in the thread itself")


def _of_agents() -> Iterator[Fact]:
    for problem in agents.problems.values():
        yield blind(problem, "name them: with agent_fuse.agent(...) around their work")


def _of_keys() -> Iterator[Fact]:
    for guard in active.guards():
        for limit in guard.fuse.keys.absent():
            yield blind(missing(limit), how(limit))


def _of_sdk(sdk: str) -> Iterator[Fact]:
    version = dict(installed(sdk)).get(sdk)
    if version is None:
        return
    unseen = unseen_ends(sdk)
    if unseen:
        what = (
            f"the end of {unseen} request{'' if unseen == 1 else 's'} was not seen: booked late, failures at the quote"
        )
        yield blind(
            f"{sdk} {version}: {what}",
            "let no other library replace `send` on the SDK's HTTP client, or its `_process_response`",
        )
    problem = instrumentor.problems.get(sdk)
    if problem is not None:
        yield blind(f"{sdk} {version}: {problem}", f"install another {sdk}; until then its calls are guarded by spans")
    elif not instrumentor.wanted() or not any(one.fuse.settings.request_gate for one in active.guards()):
        yield off(f"{sdk} {version}: the request gate is off, its calls are guarded by spans alone", _GATE_OFF)
    elif instrumentor.gated(sdk):
        yield ok(f"{sdk} {version}: every request is judged before it leaves (request gate)")
    elif f"{sdk}._base_client" in sys.modules:
        yield blind(
            f"{sdk} {version}: its requests are not judged, something took the request gate out again",
            "call agent_fuse.init() after it",
        )
    else:
        yield ok(f"{sdk} {version}: will be gated as soon as it is imported (request gate)")


def _of_instrumentations(tracers: list[Tracer]) -> Iterator[Fact]:
    dialects = Dialects()
    modules = {kind.__module__: on for kind, on in _instrumentors()}
    by_scope: dict[str, list[Tracer]] = {}
    for tracer in tracers:
        by_scope.setdefault(_scope(tracer), []).append(tracer)
    told: set[str] = set()
    for scope, own in sorted(by_scope.items()):
        dialect = dialects.of(scope)
        of = [module for module in modules if _belongs(scope, module)]
        if dialect is None or dialect.scopes == ("*",) or (of and not any(modules[module] for module in of)):
            continue
        told.update(of)
        yield from _of_scope(scope, dialect, own)
    for module, on in sorted(modules.items()):
        dialect = dialects.of(module)
        if on and module not in told and dialect is not None and dialect.scopes != ("*",):
            yield ok(f"{module} is active, and has made no span yet")
            told.add(module)
    waiting = [one.MODULE for one in (openai_spans, langchain_tools) if one.waiting() and one.MODULE not in told]
    yield from (ok(f"{module} will be turned on as soon as its library is used") for module in waiting)
    told.update(waiting)
    if not told:
        yield off(
            "no instrumentation of a model library is active: only requests are judged, and tool loops are not seen",
            _turn_on("what your agent uses"),
        )
    for module, name in _FRAMEWORKS.items():
        if module in sys.modules and not any(name.replace("-", "_") in one.replace("-", "_") for one in told):
            yield off(
                f"{name} is imported, and no instrumentation of it is active: its tool calls are not watched",
                _turn_on(name),
            )


def _turn_on(what: str) -> str:
    """How to have an instrumentation turned on, by the way in which this process is guarded."""
    if any(one.everywhere for one in active.guards()):
        return (
            f"install an instrumentation of {what}: agent-fuse run and opentelemetry-instrument turn it on (the latter "
            "with opentelemetry-distro)"
        )
    return f"turn on an instrumentation of {what}, or call agent_fuse.init(), which turns on those installed"


def _of_scope(scope: str, dialect: Dialect, tracers: list[Tracer]) -> Iterator[Fact]:
    guarded = [one for one in tracers if guards_of(one.span_processor)]
    if not guarded:
        yield blind(
            f"{scope} makes its spans at a tracer provider that AgentFuse is not on: they are not guarded",
            "instrument(tracer_provider=...) with the provider that holds AgentFuseSpanProcessor",
        )
        return
    if not all(getattr(one, "_is_enabled", lambda: True)() for one in guarded):
        yield blind(f"{scope} is disabled by a tracer configurator: it makes no spans", "enable its tracer")
        return
    for one in guarded:
        yield from blind_by_sampler(one.sampler)
    yield ok(f"{scope}: calls are judged when their spans start (dialect {dialect.name})")


def _instrumentors() -> Iterator[tuple[type[BaseInstrumentor], bool]]:
    """Every kind of instrumentor that is loaded, and whether it is turned on."""
    left: list[type[BaseInstrumentor]] = list(BaseInstrumentor.__subclasses__())
    while left:
        kind = left.pop()
        left += kind.__subclasses__()
        one = kind.__dict__.get("_instance")
        yield kind, one is not None and bool(one.is_instrumented_by_opentelemetry)


def _scope(tracer: Tracer) -> str:
    return str(getattr(getattr(tracer, "_instrumentation_scope", None), "name", ""))


def _belongs(scope: str, module: str) -> bool:
    return scope == module or scope.startswith(f"{module}.") or module.startswith(f"{scope}.")
