"""Watches the body of a response of aiohttp as its reader takes it, and notices how it ended (as `response`)."""

import functools
from collections.abc import Callable, Hashable
from typing import Any, cast
from weakref import finalize

from agent_fuse.otel.response import AnswerReader, Watch, unpacker
from agent_fuse.seams import BOOKED_AT_QUOTE, HELD_AT_QUOTE, quietly

_BODY = "reading the body of a response"

_bodies: dict[int, "_Body"] = {}
"""What is known of the bodies that are read, by the id of their stream reader: it has no room for anything of ours."""


class AiohttpAnswer:
    """A response of aiohttp in the words of httpx. Its body is always still to come."""

    is_closed = False
    content = b""

    def __init__(self, response: Any, *, raw: bool) -> None:
        self.response = response
        self.status_code: int = response.status
        self.headers = response.headers
        self.encoding: str = response.headers.get("content-encoding", "") if raw else ""
        """How the body is packed that its reader gets."""


class _Body:
    def __init__(self, watch: Watch, unpack: Callable[[bytes], bytes] | None) -> None:
        self.watch = watch
        self.unpack = unpack

    def took(self, data: bytes) -> None:
        if self.unpack is not None:
            self.watch.took(self.unpack(data))
        else:
            self.watch.end(True)


def observe(answer: AiohttpAnswer, reader: AnswerReader, ended: Callable[[bool], None]) -> None:
    """As `response.observe`. Every way to read a body passes one method of its stream reader."""
    content = answer.response.content
    key = id(content)

    def over(broken: bool) -> None:
        _bodies.pop(key, None)
        ended(broken)

    watch = Watch(reader, over)
    _bodies[key] = _Body(watch, unpacker(answer.encoding))
    content.__class__ = watched(cast("Hashable", type(content)), _took)
    content.on_eof(functools.partial(quietly, _BODY, HELD_AT_QUOTE, _done, key, content))
    finalize(answer.response, quietly, _BODY, HELD_AT_QUOTE, watch.end, True).atexit = False


def _took(content: Any, data: bytes) -> None:
    body = _bodies.get(id(content))
    if body is not None:
        body.took(data)
        _done(id(content), content)


def _done(key: int, content: Any) -> None:
    """All has come; it is read where nothing is left."""
    body = _bodies.get(key)
    if body is not None and content.at_eof():
        body.watch.done()


@functools.cache
def watched(kind: Hashable, took: Callable[[Any, bytes], None]) -> type[Any]:
    """The stream reader's class with its one way out watched, and its breaking off."""
    base: Any = kind

    def read(self: Any, n: int) -> bytes:
        data: bytes = base._read_nowait_chunk(self, n)  # noqa: SLF001  `is_as_ever` tries it
        quietly(_BODY, BOOKED_AT_QUOTE, took, self, data)
        return data

    def set_exception(self: Any, *args: Any) -> None:
        base.set_exception(self, *args)
        body = _bodies.get(id(self))
        if body is not None:
            quietly(_BODY, HELD_AT_QUOTE, body.watch.end, True)

    methods = {"_read_nowait_chunk": read, "set_exception": set_exception, "__slots__": ()}
    return type(base.__name__, (base,), {**methods, "__module__": base.__module__})
