"""Agents by name: whose turn it is, as a person says or a framework's own functions show, wherever its work goes."""

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, suppress
from contextvars import Token
from types import ModuleType, TracebackType
from typing import Any

from wrapt import register_post_import_hook

from agent_fuse import frameworks
from agent_fuse.errors import SentinelError
from agent_fuse.frameworks import Seam
from agent_fuse.keys import text
from agent_fuse.locks import Lock
from agent_fuse.otel import blind
from agent_fuse.otel.context import AGENT
from agent_fuse.otel.patches import MARK
from agent_fuse.otel.trips import CARRIER, Carrier
from agent_fuse.seams import quietly

_LEFT_ALONE = (SentinelError, StopIteration, StopAsyncIteration)
_PLACE, _SO = "reading an agent's name", "its calls name no agent"

_lock = Lock()
_on = False
_waiting: set[str] = set()
"""Modules whose import is waited for, or was."""
problems: dict[str, str] = {}
"""What an adapter did not find, by its seam: a framework that has moved on."""


class _Turn:
    """What each piece of a run happens in: the agent's turn, and the form in which trips leave."""

    __slots__ = ("_agent", "_carried", "_carrier", "_instead", "_name")

    def __init__(
        self,
        name: str,
        carrier: Carrier | None = None,
        instead: Callable[[SentinelError], Exception] | None = None,
    ) -> None:
        self._name = name
        self._carrier = carrier
        self._instead = instead
        self._agent: Token[str] | None = None
        self._carried: Token[Carrier | None] | None = None

    def __enter__(self) -> None:
        if self._name:
            self._agent = AGENT.set(self._name)
        if self._carrier is not None:
            self._carried = CARRIER.set(self._carrier)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        del kind, at
        with suppress(ValueError):  # a run that was dropped is closed by the garbage collector, in another context
            if self._carried is not None:
                CARRIER.reset(self._carried)
            if self._agent is not None:
                AGENT.reset(self._agent)
        trip = self._carrier.trip if self._carrier is not None else None
        if trip is not None and isinstance(error, Exception) and not isinstance(error, _LEFT_ALONE):
            raise trip from error
        if self._instead is not None and isinstance(error, SentinelError):
            other = quietly("telling a framework of a trip", "it gets the trip itself", self._instead, error)
            if other is not None:
                raise other from error


def _turn(seam: Seam, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Turn:
    name = quietly(_PLACE, _SO, _read, seam, args, kwargs) if _on and seam.agent is not None else None
    return _Turn(name or "", Carrier() if _on and seam.soft else None, seam.instead if _on else None)


def _read(seam: Seam, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    found = seam.agent(*args, **kwargs) if seam.agent is not None else ""
    return text(found) if found else ""


def install() -> None:
    """The frameworks that are imported, now or later, show whose turn it is. Idempotent."""
    global _on
    with _lock:
        _on = True
        new = frameworks.modules() - _waiting
        _waiting.update(new)
    for module in sorted(new):
        register_post_import_hook(functools.partial(_imported, module), module)


def uninstall() -> None:
    """What stands in the frameworks stays there, and does nothing."""
    global _on
    _on = False


def _imported(name: str, module: ModuleType) -> None:
    quietly("adapting to a framework", _SO, _adapt, name, module)


def _adapt(module_name: str, module: ModuleType) -> None:
    """Put wrappers into a module, by the name that it was imported by: CrewAI's gives itself another."""
    for seam in frameworks.seams_of(module_name):
        *inside, name = seam.function.split(".")
        owner: Any = module
        for part in inside:
            owner = getattr(owner, part, None)
        original = getattr(owner, "__dict__", {}).get(name)
        if original is None:
            problems[f"{module_name}.{seam.function}"] = (
                f"{module_name} has no {seam.function}: agents of this release are not known by name"
            )
            blind.changed()
        elif not hasattr(original, MARK):
            setattr(owner, name, _wrapped(original, seam))


def _wrapped(original: Any, seam: Seam) -> Any:
    if seam.tool is not None:
        return _tool(original, seam)
    if isinstance(original, staticmethod):
        return staticmethod(_wrapped(original.__func__, seam))
    wrapper = functools.wraps(original)(_kind(original)(original, seam))
    setattr(wrapper, MARK, original)
    return wrapper


def _tool(original: Any, seam: Seam) -> Any:
    """A function that is one run of a tool, as an action of the session."""
    from agent_fuse.otel.tool_runs import begun  # noqa: PLC0415  two frameworks need it
    from agent_fuse.otel.wrapping import UNWATCHED, GuardedRun, wrap  # noqa: PLC0415

    def start(args: tuple[Any, ...], kwargs: dict[str, Any]) -> GuardedRun:
        if not _on or seam.tool is None:
            return UNWATCHED
        read = quietly("reading a tool's call", "its run is not seen", seam.tool, *args, **kwargs)
        return begun(*read, source=original.__module__) if read is not None else UNWATCHED

    wrapper = wrap(seam.function, original, lambda _: start)
    setattr(wrapper, MARK, original)
    return wrapper


def _kind(original: Callable[..., Any]) -> Callable[[Callable[..., Any], Seam], Callable[..., Any]]:
    if inspect.isasyncgenfunction(original):
        return _async_generator
    if inspect.iscoroutinefunction(original):
        return _coroutine
    return _generator if inspect.isgeneratorfunction(original) else _plain


def _async_generator(original: Callable[..., Any], seam: Seam) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        turn, steps = _turn(seam, args, kwargs), original(*args, **kwargs)
        step: Callable[[], Any] = functools.partial(steps.asend, None)
        try:
            while True:
                try:
                    with turn:
                        given = await step()
                except StopAsyncIteration:
                    return
                try:
                    step = functools.partial(steps.asend, (yield given))
                except GeneratorExit:
                    raise
                except BaseException as error:  # noqa: BLE001  it is the framework's own to handle
                    step = functools.partial(steps.athrow, error)
        finally:
            with turn:
                await steps.aclose()

    return call


def _generator(original: Callable[..., Any], seam: Seam) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        turn, steps = _turn(seam, args, kwargs), original(*args, **kwargs)
        step: Callable[[], Any] = functools.partial(steps.send, None)
        try:
            while True:
                try:
                    with turn:
                        given = step()
                except StopIteration as end:
                    return end.value
                try:
                    step = functools.partial(steps.send, (yield given))
                except GeneratorExit:
                    raise
                except BaseException as error:  # noqa: BLE001  it is the framework's own to handle
                    step = functools.partial(steps.throw, error)
        finally:
            with turn:
                steps.close()

    return call


def _coroutine(original: Callable[..., Any], seam: Seam) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        with _turn(seam, args, kwargs):
            return await original(*args, **kwargs)

    return call


def _plain(original: Callable[..., Any], seam: Seam) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        turn = _turn(seam, args, kwargs)
        with turn:
            made = original(*args, **kwargs)
        if inspect.iscoroutine(made):
            return _awaited(turn, made)
        if hasattr(made, "with_pull_context_manager"):  # a stream that works when it is read (agent_framework)
            return made.with_pull_context_manager(lambda: turn)
        return _entered(turn, made) if hasattr(made, "__aenter__") and hasattr(made, "gen") else made

    return call


async def _awaited(turn: _Turn, made: Any) -> Any:
    with turn:
        return await made


@asynccontextmanager
async def _entered(turn: _Turn, made: Any) -> AsyncGenerator[Any]:
    with turn:
        async with made as given:
            yield given
