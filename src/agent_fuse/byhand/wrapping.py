"""Wraps a function of any kind (plain, async, generator, async generator) in a watch; its kind stays what it was."""

import functools
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar, cast

from agent_fuse.errors import ConfigurationError

F = TypeVar("F", bound=Callable[..., Any])


class Watch(Protocol):
    """One call of a wrapped function, as what wraps it sees it. Only `inside` may be entered more than once."""

    def inside(self) -> AbstractContextManager[None]:
        """Around every stretch of the function's own code."""
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


Start = Callable[[tuple[Any, ...], dict[str, Any]], Watch]
"""Begins to watch a call with these arguments, just before it runs; what it raises reaches the caller."""


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
    begin, called = start(func), getattr(func, "__call__", None)  # noqa: B004  an object may be called like a coroutine
    if inspect.isasyncgenfunction(func) or inspect.isasyncgenfunction(called):
        wrapper = _async_generator(func, begin)
    elif inspect.iscoroutinefunction(func) or inspect.iscoroutinefunction(called):
        wrapper = _coroutine(func, begin)
    elif inspect.isgeneratorfunction(func) or inspect.isgeneratorfunction(called):
        wrapper = _generator(func, begin)
    else:
        wrapper = _plain(func, begin)
    return cast("F", functools.wraps(func)(wrapper))


def _plain(func: Callable[..., Any], start: Start) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        watch = start(args, kwargs)
        try:
            with watch.inside():
                result = func(*args, **kwargs)
        except BaseException as error:
            watch.raised(error)
            raise
        if inspect.isawaitable(result):
            return _awaited(result, watch)
        watch.returned(result)
        return result

    return call


async def _awaited(result: Awaitable[Any], watch: Watch) -> Any:
    try:
        with watch.inside():
            value = await result
    except BaseException as error:
        watch.raised(error)
        raise
    watch.returned(value)
    return value


def _coroutine(func: Callable[..., Any], start: Start) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        watch = start(args, kwargs)
        return await _awaited(func(*args, **kwargs), watch)

    return call


def _generator(func: Callable[..., Any], start: Start) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        watch = start(args, kwargs)
        body: Generator[Any, Any, Any] = func(*args, **kwargs)
        sent, thrown = None, None
        try:
            while True:
                try:
                    with watch.inside():
                        value = body.send(sent) if thrown is None else body.throw(thrown)
                except StopIteration as stop:
                    watch.returned(stop.value)
                    return stop.value
                watch.yielded(value)
                sent, thrown = None, None
                try:
                    sent = yield value
                except GeneratorExit:
                    body.close()
                    raise
                except BaseException as error:  # noqa: BLE001  it is thrown on into the body
                    thrown = error
        except BaseException as error:
            watch.raised(error)
            raise

    return call


def _async_generator(func: Callable[..., Any], start: Start) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        watch = start(args, kwargs)
        body: AsyncGenerator[Any, Any] = func(*args, **kwargs)
        sent, thrown = None, None
        try:
            while True:
                try:
                    with watch.inside():
                        value = await (body.asend(sent) if thrown is None else body.athrow(thrown))
                except StopAsyncIteration:
                    break
                watch.yielded(value)
                sent, thrown = None, None
                try:
                    sent = yield value
                except GeneratorExit:
                    await body.aclose()
                    raise
                except BaseException as error:  # noqa: BLE001  it is thrown on into the body
                    thrown = error
        except BaseException as error:
            watch.raised(error)
            raise
        watch.returned(None)

    return call
