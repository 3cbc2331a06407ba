"""Wraps a function of any kind (plain, async, generator, async generator) in a watch; its kind stays what it was."""

import functools
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from functools import partial
from typing import Any, Protocol, TypeVar, cast

from agent_fuse.errors import ConfigurationError
from agent_fuse.otel.awaiting import awaited
from agent_fuse.otel.gate import fail_safe
from agent_fuse.seams import GOES_ON, HELD_AT_QUOTE, judge, quietly

F = TypeVar("F", bound=Callable[..., Any])


class GuardedRun(Protocol):
    """One call of a wrapped function, as what wraps it sees it. What it raises goes no further.

    `enter` and `leave` are told around every stretch of the function's own code, so more than once.
    """

    def enter(self) -> None:
        """The function's own code runs from here on."""
        ...

    def leave(self) -> None:
        """It pauses, or is done."""
        ...

    def yielded(self, value: object) -> None:
        """A generator gave a value."""
        ...

    def returned(self, value: object) -> None:
        """It returned."""
        ...

    def raised(self, error: BaseException) -> None:
        """It raised, or was broken off."""
        ...


class _Unwatched:
    def enter(self) -> None: ...
    def leave(self) -> None: ...
    def yielded(self, value: object) -> None: ...
    def returned(self, value: object) -> None: ...
    def raised(self, error: BaseException) -> None: ...


UNWATCHED: GuardedRun = _Unwatched()
"""The watch of a call that is let go without one."""

Start = Callable[[tuple[Any, ...], dict[str, Any]], GuardedRun]
"""Begins to watch a call with these arguments, just before it runs; the trips it raises reach the caller."""

_FUNCTION = "judging a guarded function"
_AROUND = "going along with a guarded function"
_END = "booking a guarded function"


def wrap(what: str, func: F, start: Callable[[Callable[..., Any]], Start]) -> F:
    """`func` with each of its calls watched. `start` is given the function that really runs.

    Raises:
        ConfigurationError: `func` is no function; `what` names the decorator.
    """
    if isinstance(func, staticmethod | classmethod):
        held = cast("Any", func)
        return cast("F", type(held)(wrap(what, held.__func__, start)))
    if not callable(func) or isinstance(func, type):
        raise ConfigurationError(f"{what} decorates {func!r}; it must be a function or a method")
    begin, called = _start(func, start), getattr(func, "__call__", None)  # noqa: B004  an object may be called like a coroutine
    if inspect.isasyncgenfunction(func) or inspect.isasyncgenfunction(called):
        wrapper = _async_generator(func, begin)
    elif inspect.iscoroutinefunction(func) or inspect.iscoroutinefunction(called):
        wrapper = _coroutine(func, begin)
    elif inspect.isgeneratorfunction(func) or inspect.isgeneratorfunction(called):
        wrapper = _generator(func, begin)
    else:
        wrapper = _plain(func, begin)
    return cast("F", functools.wraps(func)(wrapper))


def _start(func: Callable[..., Any], start: Callable[[Callable[..., Any]], Start]) -> Start:
    """How to begin; where it cannot be made, each call of the function is one that cannot be judged."""
    try:
        return start(func)
    except ConfigurationError:
        raise
    except Exception as error:  # noqa: BLE001  the module that decorates can be imported
        kept = error

        def begin(*_: object) -> GuardedRun:
            raise kept

        return begin


# Each wrapper guards every word with its watch by itself: what stands between them and the function would have to be
# guarded in its turn.


def _begun(start: Start, args: tuple[Any, ...], kwargs: dict[str, Any]) -> GuardedRun:
    return judge(_FUNCTION, fail_safe, start, args, kwargs) or UNWATCHED


def _plain(func: Callable[..., Any], start: Start) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        watch = _begun(start, args, kwargs)
        try:
            quietly(_AROUND, GOES_ON, watch.enter)
            try:
                result = func(*args, **kwargs)
            finally:
                quietly(_AROUND, GOES_ON, watch.leave)
            if not inspect.isawaitable(result):
                quietly(_END, HELD_AT_QUOTE, watch.returned, result)
                return result
        except BaseException as error:
            quietly(_END, HELD_AT_QUOTE, watch.raised, error)
            raise
        return _awaited(result, watch)

    return call


async def _awaited(result: Awaitable[Any], watch: GuardedRun) -> Any:
    try:
        quietly(_AROUND, GOES_ON, watch.enter)
        try:
            value = await result
        finally:
            quietly(_AROUND, GOES_ON, watch.leave)
        quietly(_END, HELD_AT_QUOTE, watch.returned, value)
    except BaseException as error:
        quietly(_END, HELD_AT_QUOTE, watch.raised, error)
        raise
    return value


def _coroutine(func: Callable[..., Any], start: Start) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        watch = await awaited(partial(_begun, start, args, kwargs))
        try:
            quietly(_AROUND, GOES_ON, watch.enter)
            try:
                value = await func(*args, **kwargs)
            finally:
                quietly(_AROUND, GOES_ON, watch.leave)
            quietly(_END, HELD_AT_QUOTE, watch.returned, value)
        except BaseException as error:
            quietly(_END, HELD_AT_QUOTE, watch.raised, error)
            raise
        return value

    return call


def _generator(func: Callable[..., Any], start: Start) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        watch = _begun(start, args, kwargs)
        sent, thrown = None, None
        try:
            body: Generator[Any, Any, Any] = func(*args, **kwargs)
            while True:
                try:
                    quietly(_AROUND, GOES_ON, watch.enter)
                    try:
                        value = body.send(sent) if thrown is None else body.throw(thrown)
                    finally:
                        quietly(_AROUND, GOES_ON, watch.leave)
                except StopIteration as stop:
                    quietly(_END, HELD_AT_QUOTE, watch.returned, stop.value)
                    return stop.value
                quietly(_AROUND, GOES_ON, watch.yielded, value)
                sent, thrown = None, None
                try:
                    sent = yield value
                except GeneratorExit:
                    body.close()
                    raise
                except BaseException as error:  # noqa: BLE001  it is thrown on into the body
                    thrown = error
        except BaseException as error:
            quietly(_END, HELD_AT_QUOTE, watch.raised, error)
            raise

    return call


def _async_generator(func: Callable[..., Any], start: Start) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        watch = await awaited(partial(_begun, start, args, kwargs))
        sent, thrown = None, None
        try:
            body: AsyncGenerator[Any, Any] = func(*args, **kwargs)
            while True:
                try:
                    quietly(_AROUND, GOES_ON, watch.enter)
                    try:
                        value = await (body.asend(sent) if thrown is None else body.athrow(thrown))
                    finally:
                        quietly(_AROUND, GOES_ON, watch.leave)
                except StopAsyncIteration:
                    break
                quietly(_AROUND, GOES_ON, watch.yielded, value)
                sent, thrown = None, None
                try:
                    sent = yield value
                except GeneratorExit:
                    await body.aclose()
                    raise
                except BaseException as error:  # noqa: BLE001  it is thrown on into the body
                    thrown = error
            quietly(_END, HELD_AT_QUOTE, watch.returned, None)
        except BaseException as error:
            quietly(_END, HELD_AT_QUOTE, watch.raised, error)
            raise

    return call
