"""Ways to POST by every HTTP library that the wire gate stands in, with every way to read the answer."""

import asyncio
import contextlib
import http.client
import io
import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import requests
import urllib3

MODEL = "gemini-2.5-flash"
BODY: dict[str, Any] = {
    "contents": [{"role": "user", "parts": [{"text": "Hi"}]}],
    "generationConfig": {"maxOutputTokens": 100},
}
TEXT = json.dumps(BODY).encode()


@dataclass(frozen=True)
class Got:
    """What an HTTP library brought back."""

    status: int
    body: bytes


Road = Callable[[str, Any, dict[str, str]], Got]


def _by_requests(url: str, body: Any, headers: dict[str, str]) -> Got:
    answer = requests.post(url, data=body, headers=headers, timeout=20)
    return Got(answer.status_code, answer.content)


def _by_requests_lines(url: str, body: Any, headers: dict[str, str]) -> Got:
    with requests.post(url, data=body, headers=headers, timeout=20, stream=True) as answer:
        return Got(answer.status_code, b"\n".join(answer.iter_lines(7)))


def _by_requests_raw(url: str, body: Any, headers: dict[str, str]) -> Got:
    with requests.post(url, data=body, headers=headers, timeout=20, stream=True) as answer:
        return Got(answer.status_code, b"".join(iter(lambda: answer.raw.read(5), b"")))


def _by_urllib3(url: str, body: Any, headers: dict[str, str]) -> Got:
    answer = urllib3.request("POST", url, body=body, headers=headers)
    return Got(answer.status, answer.data)


def _by_urllib3_pool(url: str, body: Any, headers: dict[str, str]) -> Got:
    with urllib3.connection_from_url(url) as pool:
        answer = pool.urlopen("POST", "/" + url.split("/", 3)[3], body, headers, preload_content=False)
        return Got(answer.status, b"".join(answer.stream(9)))


def _by_urllib3_read1(url: str, body: Any, headers: dict[str, str]) -> Got:
    with urllib3.PoolManager() as pools:
        answer = pools.request("POST", url, body=body, headers=headers, preload_content=False)
        return Got(answer.status, b"".join(iter(answer.read1, b"")))


def _by_aiohttp(url: str, body: Any, headers: dict[str, str]) -> Got:
    async def post() -> Got:
        async with aiohttp.ClientSession() as session, session.post(url, data=_apart(body), headers=headers) as answer:
            return Got(answer.status, await answer.read())

    return asyncio.run(post())


def _by_aiohttp_json(url: str, body: Any, headers: dict[str, str]) -> Got:
    """A path below the base URL of its session, and a body as an object where it is one."""
    base, path = url[: url.index("/", 8) + 1], url[url.index("/", 8) :]
    given = (
        {"json": json.loads(body)}
        if body in (TEXT, TEXT.decode()) and "content-encoding" not in headers
        else {"data": _apart(body)}
    )

    async def post() -> Got:
        async with (
            aiohttp.ClientSession(base) as session,
            session.request("post", path, **given, headers=headers) as answer,
        ):
            return Got(answer.status, b"".join([one async for one in answer.content.iter_chunked(9)]))

    return asyncio.run(post())


def _by_aiohttp_raw(url: str, body: Any, headers: dict[str, str]) -> Got:
    async def post() -> Got:
        async with (
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.post(url, data=_apart(body), headers=headers) as answer,
        ):
            return Got(answer.status, b"".join([one async for one, _ in answer.content.iter_chunks()]))

    return asyncio.run(post())


def _by_urllib(url: str, body: Any, headers: dict[str, str]) -> Got:
    asked = urllib.request.Request(url, body.encode() if isinstance(body, str) else body, headers, method="POST")
    try:
        with urllib.request.urlopen(asked, timeout=20) as answer:
            return Got(answer.status, answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return Got(error.code, error.read())


def _by_urllib_lines(url: str, body: Any, headers: dict[str, str]) -> Got:
    opener = urllib.request.build_opener(Errors)
    asked = urllib.request.Request(url, body.encode() if isinstance(body, str) else body, headers, method="POST")
    with opener.open(asked, timeout=20) as answer:
        return Got(answer.status, b"".join(answer))


class Errors(urllib.request.HTTPErrorProcessor):
    """Takes an answer with an error for an answer."""

    def http_response(self, request: Any, response: Any) -> Any:
        return response


def _by_http_client(how: Callable[[Any], Iterator[bytes]]) -> Road:
    def post(url: str, body: Any, headers: dict[str, str]) -> Got:
        host, _, path = url.removeprefix("http://").partition("/")
        with contextlib.closing(http.client.HTTPConnection(host, timeout=20)) as connection:
            connection.request("POST", f"/{path}", body, headers)
            answer = connection.getresponse()
            return Got(answer.status, b"".join(how(answer)))

    return post


def _filled(answer: Any) -> Iterator[bytes]:
    buffer = bytearray(7)
    while count := answer.readinto(buffer):
        yield bytes(buffer[:count])


async def _aparts(parts: Iterator[bytes]) -> AsyncIterator[bytes]:
    for one in parts:
        yield one


def _apart(body: Any) -> Any:
    return body if isinstance(body, bytes | str | io.BytesIO) else _aparts(body)


ROADS: dict[str, Road] = {
    "requests": _by_requests,
    "requests-lines": _by_requests_lines,
    "requests-raw": _by_requests_raw,
    "urllib3": _by_urllib3,
    "urllib3-pool": _by_urllib3_pool,
    "urllib3-read1": _by_urllib3_read1,
    "aiohttp": _by_aiohttp,
    "aiohttp-json": _by_aiohttp_json,
    "aiohttp-raw": _by_aiohttp_raw,
    "urllib": _by_urllib,
    "urllib-lines": _by_urllib_lines,
    "http.client": _by_http_client(lambda answer: iter([answer.read()])),
    "http.client-parts": _by_http_client(lambda answer: iter(lambda: answer.read(amt=5), b"")),
    "http.client-read1": _by_http_client(lambda answer: iter(lambda: answer.read1(n=9), b"")),
    "http.client-readinto": _by_http_client(_filled),
}
