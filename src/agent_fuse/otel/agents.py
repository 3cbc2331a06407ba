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
from agent_fuse.errors import SentinelError, soften, trip_of
from agent_fuse.frameworks import Seam
from agent_fuse.keys import text
from agent_fuse.locks import Lock
from agent_fuse.otel import blind
from agent_fuse.otel.context import AGENT
from agent_fuse.otel.patches import MARK
from agent_fuse.otel.trips import CARRIER, Carrier
from agent_fuse.seams import quietly

_ENDS = (StopIteration, StopAsyncIteration)
_OFF = Seam(function="")
_NOTHING: tuple[tuple[Any, ...], dict[str, Any]] = ((), {})
_MAX_CAUSES = 100
_GROUP: type[BaseException] = BaseExceptionGroup
_PLACE, _SO = "reading an agent's name", "its calls name no agent"

_lock = Lock()
_LET_GO = object()
_on = False
_waiting: set[str] = set()
"""Modules whose import is waited for, or was."""
problems: dict[str, str] = {}
"""What an adapter did not find, by its seam: a framework that has moved on."""


class _Turn:
    """What each piece of a run happens in: the agent's turn, and the form in which trips leave."""

    __slots__ = ("_agent", "_carried", "_carrier", "_given", "_name", "_seam")

    def __init__(self, seam: Seam, name: str, given: tuple[tuple[Any, ...], dict[str, Any]]) -> None:
        self._seam = seam if _on else _OFF
        self._name = name
        self._given = given if self._seam.let_go is not None else _NOTHING
        self._carrier = Carrier() if self._seam.soft or self._seam.drops else None
        self._agent: Token[str] | None = None
        self._carried: Token[Carrier | None] | None = None

    def __enter__(self) -> None:
        if self._name:
            self._agent = AGENT.set(self._name)
        if self._carrier is not None:
            self._carried = CARRIER.set(self._carrier)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> bool:
        del kind, at
        with suppress(ValueError):  # a run that was dropped is closed by the garbage collector, in another context
            if self._carried is not None:
                CARRIER.reset(self._carried)
            if self._agent is not None:
                AGENT.reset(self._agent)
        if error is None or isinstance(error, _ENDS):
            return False
        other = self._instead(error)
        if other is not None and other is not error:
            raise other from (error if other.__cause__ is None else other.__cause__)
        return isinstance(error, SentinelError) and self._let_go(error)

    def over(self) -> None:
        """All of it was done.

        Raises:
            SentinelError: it went on over a trip.
        """
        if self._seam.drops and self._carrier is not None and self._carrier.trip is not None:
            raise self._told(self._carrier.trip) from None

    @staticmethod
    def _told(trip: SentinelError) -> SentinelError:
        """A trip in the form in which it leaves: to a host around this one that is such as well, softly."""
        outer = CARRIER.get()
        if outer is None:
            return trip
        outer.trip = trip
        return soften(trip)

    def _instead(self, error: BaseException) -> BaseException | None:
        """What leaves in the place of an error."""
        trip = self._carrier.trip if self._carrier is not None else None
        if isinstance(error, Exception) and (self._seam.unwrap or not isinstance(error, SentinelError)):
            if trip is not None:
                return self._told(trip)
            if self._seam.unwrap:
                return _wrapped_in(error)
        if self._seam.unwrap and isinstance(error, _GROUP) and _is_of_trips(error):
            return _wrapped_in(error)
        if self._seam.instead is not None and isinstance(error, SentinelError):
            return quietly("telling a framework of a trip", "it gets the trip itself", self._seam.instead, error)
        return None

    def _let_go(self, trip: SentinelError) -> bool:
        if self._seam.let_go is None:
            return False
        args, kwargs = self._given
        told = quietly("telling who waits", "its framework may wait for ever", self._seam.let_go, trip, *args, **kwargs)
        return told is True


def _is_of_trips(group: Any) -> bool:
    """Whether several were refused at once, and nothing else went wrong."""
    return group.split(SentinelError)[1] is None


def _wrapped_in(error: BaseException) -> SentinelError | None:
    """The trip that an error is or was made of, as it was before it was softened."""
    link: BaseException | None = error
    found: SentinelError | None = None
    for _ in range(_MAX_CAUSES):
        if link is None or (found is not None and not isinstance(link, SentinelError)):
            break
        if isinstance(link, (SentinelError, _GROUP)):
            found = trip_of(link)
        link = link.__cause__
    return found


def _turn(seam: Seam, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Turn:
    name = quietly(_PLACE, _SO, _read, seam, args, kwargs) if _on and seam.agent is not None else None
    return _Turn(seam, name or "", (args, kwargs))


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
                given: Any = _LET_GO
                try:
                    with turn:
                        given = await step()
                except StopAsyncIteration:
                    turn.over()
                    return
                if given is _LET_GO:  # it ended by a trip that goes no further
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
                given: Any = _LET_GO
                try:
                    with turn:
                        given = step()
                except StopIteration as end:
                    turn.over()
                    return end.value
                if given is _LET_GO:  # it ended by a trip that goes no further
                    return None
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
        turn = _turn(seam, args, kwargs)
        given: Any = None
        with turn:
            given = await original(*args, **kwargs)
        turn.over()
        return given

    return call


def _plain(original: Callable[..., Any], seam: Seam) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        turn = _turn(seam, args, kwargs)
        made: Any = None
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
