"""From a request and the reply it gets to the bytes that go back, in the request's own protocol."""

import zlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from http import HTTPStatus

from agent_fuse.calls import Usage
from agent_fuse.testing import gemini_api, openai_other
from agent_fuse.testing.answers import Ask, JsonObject, encode, known_object, make_answer, tokens_in
from agent_fuse.testing.exchange import Api, Reply, Request, Served, check_usage
from agent_fuse.testing.http1 import Outgoing
from agent_fuse.testing.routes import SPEECHES, error_body

Book = Callable[[Served], None]
"""Takes what is billed when the first byte goes out, and once more when the usage has gone out too."""


def problem(request: Request) -> str:
    """Why a provider would refuse this model request with a 400, or an empty string."""
    if not request.model:
        return "you must provide a model parameter"
    return SPEECHES[request.api].read(_body(request)).problem


def say(request: Request, reply: Reply, usage: Usage | None, serial: str, book: Book) -> Outgoing:
    """The reply to a model request; `usage` is billed where the reply names none."""
    if reply.status != HTTPStatus.OK:
        return say_error(request, reply, serial)
    speech = SPEECHES[request.api]
    ask = speech.read(_body(request))
    answer = make_answer(
        ask,
        reply,
        check_usage(usage) if usage is not None else None,
        model=request.model,
        id=speech.id_prefix + serial,
        created=int(request.received_at),
    )
    out = Outgoing(
        headers=_headers(request, reply, serial),
        delay_s=reply.delay_s,
        part_delay_s=reply.chunk_delay_s,
        cut_after=reply.cut_after_chunks,
        stall_after=reply.stall_after_chunks,
    )
    served = Served(api=request.api, model=answer.model, usage=answer.usage, response_id=answer.id, reported=False)
    if ask.stream and speech.stream is not None:
        parts, tells = speech.stream(answer)
        kind = speech.stream_type
        if request.api is Api.GEMINI_STREAM and "alt=sse" not in request.query:
            parts, kind = gemini_api.as_array(parts), "application/json"
        out = replace(out, parts=parts, chunked=True, headers={**out.headers, "content-type": kind})
    else:
        whole = encode(speech.whole(answer)).encode()
        parts = [whole] if out.plain else _quarters(whole)
        tells = len(parts) - 1 if answer.says_usage else None
        out = replace(out, parts=parts)
    if out.headers.get("content-encoding") == "gzip":
        out = replace(out, parts=_packed(out.parts))
    before = {-1: lambda: book(served)}
    if tells is not None:
        before[tells] = lambda: book(replace(served, reported=True))
    return replace(out, before=before)


def say_error(request: Request, reply: Reply, serial: str) -> Outgoing:
    """An error, in the words of the provider that was asked."""
    message = reply.error or f"The loopback provider was told to answer {reply.status}."
    body = error_body(reply.status, message, anthropic=_is_anthropic(request), request_id=f"req_{serial}")
    return replace(
        _json(request, body, serial, reply),
        status=reply.status,
        delay_s=reply.delay_s,
        cut_after=reply.cut_after_chunks,
        stall_after=reply.stall_after_chunks,
    )


def say_free(request: Request, serial: str) -> Outgoing:
    """The answer to what no provider bills; 404 for what it does not know."""
    body = _body(request)
    match request.api:
        case Api.MODELS:
            name = request.path.partition("/models/")[2]
            return _json(request, openai_other.models(name, anthropic=_is_anthropic(request)), serial)
        case Api.MODERATIONS:
            return _json(request, openai_other.moderation(body, serial, request.model or "omni-moderation"), serial)
        case Api.COUNT_TOKENS:
            api = Api.MESSAGES if _is_anthropic(request) else Api.RESPONSES
            ask: Ask = SPEECHES[api].read(body)
            kind: JsonObject = {} if api is Api.MESSAGES else {"object": "response.input_tokens"}
            return _json(request, kind | {"input_tokens": sum(tokens_in(one) for one in ask.prompt)}, serial)
        case _:
            return say_error(request, Reply(status=404, error=f"no route {request.method} {request.path}"), serial)


def state(request: Request, count: int, requests: int, billed: Usage, serial: str) -> Outgoing:
    """`GET /_loopback`: the counts, for other processes."""
    figures = {"input_tokens": billed.input_tokens, "output_tokens": billed.output_tokens}
    return _json(request, {"count": count, "requests": requests, **figures}, serial)


def _body(request: Request) -> JsonObject:
    return known_object(request.body)


def _json(request: Request, body: JsonObject, serial: str, reply: Reply | None = None) -> Outgoing:
    return Outgoing(headers=_headers(request, reply, serial), parts=[encode(body).encode()])


def _packed(parts: Iterable[bytes]) -> list[bytes]:
    """Each part compressed so far that it can be read before the next one comes."""
    pack = zlib.compressobj(wbits=31)
    packed = [pack.compress(one) + pack.flush(zlib.Z_SYNC_FLUSH) for one in parts]
    return [*packed[:-1], packed[-1] + pack.flush()]


def _headers(request: Request, reply: Reply | None, serial: str) -> dict[str, str]:
    names = {"content-type": "application/json"}
    names["request-id" if _is_anthropic(request) else "x-request-id"] = f"req_{serial}"
    if reply is not None and reply.retry_after_s is not None:
        names["retry-after"] = f"{reply.retry_after_s:g}"
    return names | dict(reply.headers) if reply is not None else names


def _is_anthropic(request: Request) -> bool:
    return request.api is Api.MESSAGES or "anthropic-version" in request.headers


def _quarters(data: bytes) -> list[bytes]:
    size = max(1, -(-len(data) // 4))
    return [data[at : at + size] for at in range(0, len(data), size)]
