"""`boundary`: where a hard trip becomes its soft form."""

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import ContextDecorator
from types import TracebackType
from typing import Any, Self, TypeVar, cast, overload

from agent_fuse.errors import SentinelError, soften
from agent_fuse.mistakes import spelled

F = TypeVar("F", bound=Callable[..., Any])


class boundary(ContextDecorator):  # noqa: N801 - used like a function: `with boundary():`, `@boundary`
    """Turns a hard trip into its soft form, an ordinary Exception caught by the same class, where it leaves the block.

    For places that a BaseException would hurt: a web handler, a `multiprocessing.Pool` task, a Celery task. As a
    decorator, with or without parentheses, it serves functions, coroutine functions and generators of both kinds.
    """

    @overload
    def __new__(cls) -> Self: ...
    @overload
    def __new__(cls, func: F) -> F: ...  # type: ignore[misc]
    @spelled()
    def __new__(cls, func: Any = None) -> Any:
        """A boundary; as a bare decorator, the decorated function."""
        made = super().__new__(cls)
        return made if func is None else made(func)

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        del kind, at
        if isinstance(error, SentinelError) and not isinstance(error, Exception):
            raise soften(error) from error

    def __call__(self, func: F) -> F:
        """Decorate a function of any kind."""
        if inspect.iscoroutinefunction(func):

            async def coroutine(*args: Any, **kwargs: Any) -> Any:
                with boundary():
                    return await func(*args, **kwargs)

            return cast("F", functools.wraps(func)(coroutine))
        if inspect.isasyncgenfunction(func):

            async def async_generator(*args: Any, **kwargs: Any) -> AsyncGenerator[Any]:
                with boundary():
                    async for one in func(*args, **kwargs):
                        yield one

            return cast("F", functools.wraps(func)(async_generator))
        if inspect.isgeneratorfunction(func):
            begin: Callable[..., Generator[Any, Any, Any]] = cast("Any", func)

            def generator(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
                with boundary():
                    return (yield from begin(*args, **kwargs))

            return cast("F", functools.wraps(func)(generator))
        return super().__call__(func)
