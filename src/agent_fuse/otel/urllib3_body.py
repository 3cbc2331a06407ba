"""Watches the body of a response of urllib3 as its reader takes it, and notices how it ended (as `response`)."""

import functools
from collections.abc import Callable, Hashable, Iterator
from typing import Any, cast
from weakref import finalize

from agent_fuse.otel import patches
from agent_fuse.otel.response import AnswerReader, Watch, closes, unpacker
from agent_fuse.seams import BOOKED_AT_QUOTE, HELD_AT_QUOTE, quietly

_BODY = "reading the body of a response"


class Urllib3Answer:
    """A response of urllib3 in the words of httpx."""

    def __init__(self, response: Any) -> None:
        self.raw = response
        self.status_code: int = response.status
        self.headers = response.headers
        read = getattr(response, "_body", None)
        self.is_closed = bool(read) or response.length_remaining == 0
        self.content: bytes = read or b""


def observe(answer: Any, reader: AnswerReader, ended: Callable[[bool], None]) -> None:
    """As `response.observe`. Every way to read a body passes `read`, `read1` or `read_chunked`."""
    response = answer.raw
    response.agent_fuse_watch = watch = Watch(reader, ended)
    response.agent_fuse_unpack = unpacker(response.headers.get("content-encoding", ""))
    response.__class__ = _observed(cast("Hashable", type(response)))
    finalize(response, quietly, _BODY, HELD_AT_QUOTE, watch.end, True).atexit = False


def _took(response: Any, data: Any, decode: bool | None) -> None:
    watch: Watch = response.agent_fuse_watch
    if not data:
        return
    if response.decode_content if decode is None else decode:
        watch.took(data)
    elif response.agent_fuse_unpack is not None:
        watch.took(response.agent_fuse_unpack(data))
    else:
        watch.end(True)


@functools.cache
def _observed(kind: Hashable) -> type[Any]:
    """The response class with its ways out watched."""
    base: Any = kind
    methods: dict[str, Any] = {
        "read": _read(base.read, all_at_once=True),
        "read_chunked": _pieces(base.read_chunked, _took),
        "stream": _pieces(base.stream, None),
        "close": closes(base.close),
    }
    if hasattr(base, "read1"):
        methods["read1"] = _read(base.read1, all_at_once=False)
    return type(base.__name__, (base,), {**methods, "__module__": base.__module__})


def _read(original: patches.Method, *, all_at_once: bool) -> patches.Method:
    """`read` and `read1`; `all_at_once`: without an amount it brings all that is left."""

    def read(self: Any, amt: int | None = None, decode_content: bool | None = None, **more: Any) -> Any:
        watch: Watch = self.agent_fuse_watch
        outer, watch.reading = watch.reading, True
        try:
            data = original(self, amt, decode_content, **more)
        except BaseException as error:
            quietly(_BODY, HELD_AT_QUOTE, watch.raised, error)
            raise
        finally:
            watch.reading = outer
        if not outer:  # it is not called by another of these
            quietly(_BODY, BOOKED_AT_QUOTE, _took, self, data, decode_content)
            quietly(_BODY, HELD_AT_QUOTE, _end_if_last, self, data, amt, all_at_once)
        return data

    return read


def _end_if_last(response: Any, data: bytes, amt: int | None, all_at_once: bool) -> None:
    if not data or amt is None or amt < 0:
        last = amt != 0 and (not data or all_at_once)
    else:  # what is unpacked may have more to bring when nothing more is to come
        last = response.length_remaining == 0 and not response.headers.get("content-encoding")
    if not last:
        return
    watch: Watch = response.agent_fuse_watch
    if response.length_remaining:  # the connection died: `read1` says nothing of it
        watch.end(True)
    else:
        watch.done()


def _pieces(original: patches.Method, took: Callable[[Any, Any, bool | None], None] | None) -> patches.Method:
    """`read_chunked`, and `stream`, which reads by that or by `read`."""

    def pieces(self: Any, *args: Any, **kwargs: Any) -> Iterator[bytes]:
        decode = bool(args[1] if args[1:] else kwargs.get("decode_content"))  # None: not, unlike in `read`
        watch: Watch = self.agent_fuse_watch
        try:
            for data in original(self, *args, **kwargs):
                if took is not None:
                    quietly(_BODY, BOOKED_AT_QUOTE, took, self, data, decode)
                yield data
            quietly(_BODY, HELD_AT_QUOTE, watch.done)
        except BaseException as error:
            quietly(_BODY, HELD_AT_QUOTE, watch.raised, error)
            raise

    return pieces
