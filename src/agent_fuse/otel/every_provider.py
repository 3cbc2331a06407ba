"""Every tracer provider of a process: those there are, those made later, and where there is none, a private one."""

import functools
import logging
from typing import Any, cast

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from agent_fuse.locks import Lock
from agent_fuse.otel.installing import wrap_sampler

log = logging.getLogger("agent_fuse")

_MARK = "_agent_fuse_original"
_lock = Lock()
_processor: SpanProcessor | None = None
_private: TracerProvider | None = None


def follow(processor: SpanProcessor) -> TracerProvider:
    """Put the processor on the global provider, on each one made from now on, and on a private one. Idempotent.

    Providers are caught when they are made, not when they are set globally: some are never set (an instrumentor is
    given them), some stand behind another's proxy (logfire's). Tracers handed out while no provider is set make their
    spans at the private one, which exports nothing, until one is set.

    Returns:
        The private provider.
    """
    global _processor, _private
    with _lock:
        _processor = processor
        if _private is None:
            _private = TracerProvider(sampler=ALWAYS_ON, resource=Resource({}), shutdown_on_exit=False)
        adopt(_private)
        _catch_new_providers()
        _lend_to_proxies()
    found = trace.get_tracer_provider()
    if isinstance(found, TracerProvider):
        adopt(found)
    return _private


def private() -> TracerProvider | None:
    """The private provider, if there is one."""
    return _private


def adopt(provider: TracerProvider) -> None:
    """Put the processor that is followed on a provider, unless it is."""
    chain: Any = provider._active_span_processor  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    if _processor is None or any(one is _processor for one in getattr(chain, "_span_processors", ())):
        return
    TracerProvider.add_span_processor(provider, _processor)  # a subclass may not be made in full yet
    wrap_sampler(provider)


def _catch_new_providers() -> None:
    made = TracerProvider.__init__
    if hasattr(made, _MARK):
        return

    @functools.wraps(made)
    def init(self: TracerProvider, *args: Any, **kwargs: Any) -> None:
        made(self, *args, **kwargs)
        try:
            adopt(self)
        except Exception:
            log.exception("AgentFuse could not be put on a tracer provider: its spans are not guarded")

    setattr(init, _MARK, made)
    cast("Any", TracerProvider).__init__ = init


def _lend_to_proxies() -> None:
    """Where the API would make a span of nothing, for want of a provider, the private one makes it."""
    kind = cast("Any", trace).ProxyTracer
    found = kind.__dict__.get("_tracer")
    if not isinstance(found, property) or found.fget is None:
        log.warning("AgentFuse does not know this opentelemetry-api: spans are seen only once a provider is set")
        return
    if hasattr(found.fget, _MARK):
        return
    original = found.fget

    def tracer(self: Any) -> Any:
        real = original(self)
        if real is not self._noop_tracer or _private is None:
            return real
        lent = self.__dict__.get("_agent_fuse_lent")
        if lent is None:
            lent = self._agent_fuse_lent = _private.get_tracer(
                self._instrumenting_module_name,
                self._instrumenting_library_version,
                self._schema_url,
                self._attributes,
            )
        return lent

    setattr(tracer, _MARK, original)
    kind._tracer = property(tracer)  # noqa: SLF001
