"""What the page and machines ask, and how it is answered: JSON, events, and text for Prometheus."""

import asyncio
import contextlib
import json
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from typing import Any, cast

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from agent_fuse import foreign_text
from agent_fuse.calls import NOT_BOOKED, Status
from agent_fuse.dashboard.acts import VERBS, AskAgain, Meanwhile, act
from agent_fuse.dashboard.books import Books
from agent_fuse.dashboard.filters import Filter
from agent_fuse.dashboard.json_answer import JsonAnswer
from agent_fuse.dashboard.one_session import one_session
from agent_fuse.dashboard.openapi import FILTERS, JOURNAL, SESSIONS, document
from agent_fuse.dashboard.prometheus import exposition
from agent_fuse.dashboard.state import Caps, state
from agent_fuse.errors import ConfigurationError
from agent_fuse.ledgers.base import LedgerError
from agent_fuse.ledgers.reading import EVERY_STATUS, Reader, Selection
from agent_fuse.mistakes import misspelt
from agent_fuse.views import as_json, asked_period
from agent_fuse.views.as_json import Json

EVERY = 0.5
"""Seconds between two looks at the ledger, while someone watches."""
_BEAT = 3.0
"""Seconds of silence at most, so that whoever listens knows that someone is there."""
_SPARING = 5
"""A look that took long is repeated only after so many times as long."""
_REMEMBERED = 64
_UNBUFFERED = {"x-accel-buffering": "no"}
"""Asks a proxy that keeps answers until they are whole (nginx) to pass events on."""
_MOST = 1_000
"""Lines of one answer, at most."""


class JsonApi:
    """Answers from one ledger.

    Args:
        url: the ledger. environ: where a limit may be named (AGENTFUSE_BUDGET).
    """

    def __init__(self, url: str, environ: Mapping[str, str]) -> None:
        self._url = url
        self._caps, self._caps_asked = Caps(environ), Caps(environ)
        self._live, self._asked = Books(url), Books(url)
        """What the page shows again and again, and longer questions, which must not hold that up."""
        self._states: OrderedDict[Filter, tuple[float, Json]] = OrderedDict()
        self.blind: list[Json] = []
        """What doctor finds blind in this ledger."""
        self.ended = asyncio.Event()

    def close(self) -> None:
        """Close the readers."""
        self._live.close()
        self._asked.close()

    async def state(self, among: Filter) -> Json:
        """The state now, or as it was a moment ago. Raises LedgerError, ConfigurationError."""
        known = self._states.get(among)
        if known is not None and time.monotonic() - known[0] < EVERY / 2:
            return known[1]
        found = await self._live.ask(
            lambda reader: state(reader, self._caps, now=time.time(), among=among, blind=self.blind)
        )
        while len(self._states) >= _REMEMBERED:
            self._states.popitem(last=False)
        self._states[among] = time.monotonic(), found
        return found

    async def get_state(self, request: Request) -> Response:
        """`/api/state`."""
        return JsonAnswer(await self.state(Filter.of(_asked(request, FILTERS))))

    async def get_events(self, request: Request) -> Response:
        """`/api/events`: the state where it has changed, else that it stands, until the page goes or is signed out."""
        events = self._events(Filter.of(_asked(request, FILTERS)), request.state.may_look)
        return StreamingResponse(events, media_type="text/event-stream", headers=_UNBUFFERED)

    async def _events(self, among: Filter, may_look: Callable[[], bool]) -> AsyncIterator[str]:
        shown: Json | None = None
        while not self.ended.is_set() and may_look():
            try:
                found = await self.state(among)
            except (LedgerError, ConfigurationError) as failed:
                found = {"failing": str(failed)}
            if shown is None or {**found, "at": ""} != {**shown, "at": ""}:
                shown = found
                yield f"data: {json.dumps(found)}\n\n"
            else:
                yield _still(found)
            left = max(EVERY, _SPARING * self._live.took)
            while left > 0 and not self.ended.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.ended.wait(), min(left, _BEAT))
                left -= _BEAT
                if left > 0:
                    yield _still(found)

    async def get_session(self, request: Request) -> Response:
        """`/api/sessions/{id}`."""
        session = str(request.path_params["id"])
        found = await self._asked.ask(lambda reader: one_session(reader, self._caps_asked, session, now=time.time()))
        if found is None:
            return JsonAnswer({"error": f"the ledger knows no session {session!r}"}, 404)
        return JsonAnswer(found)

    async def get_sessions(self, request: Request) -> Response:
        """`/api/sessions`."""
        which, most = _selection(_asked(request, SESSIONS))

        def ask(reader: Reader) -> Json:
            found = reader.sums(which, "session", limit=most + 1)
            shown = [as_json.session(name, one) for name, one in found[:most]]
            return {"schema": "agent-fuse/sessions/1", "sessions": shown, "more": len(found) > most}

        return JsonAnswer(await self._asked.ask(ask))

    async def get_calls(self, request: Request) -> Response:
        """`/api/calls`."""
        which, most = _selection(_asked(request, JOURNAL))

        def ask(reader: Reader) -> Json:
            found = list(reader.entries(which, limit=most + 1))
            shown = [as_json.call(one) for one in found[:most]]
            return {"schema": "agent-fuse/calls/1", "calls": shown, "more": len(found) > most}

        return JsonAnswer(await self._asked.ask(ask))

    async def get_openapi(self, request: Request) -> Response:
        """`/api/openapi.json`."""
        del request
        return JsonAnswer(document())

    async def get_metrics(self, request: Request) -> Response:
        """`/metrics`."""
        del request
        try:
            found = await self.state(Filter())
        except LedgerError:
            found = None
        return PlainTextResponse(exposition(found), media_type="text/plain; version=0.0.4")

    async def get_health(self, request: Request) -> Response:
        """`/healthz`: says no more than whether the ledger can be read."""
        del request
        try:
            await self._live.ask(lambda reader: reader.open_calls())
        except LedgerError:
            return PlainTextResponse("the ledger cannot be read\n", 503)
        return PlainTextResponse("ok\n")

    async def act(self, request: Request, who: str) -> Response:
        """`/api/act/{verb}`, for someone who may."""
        verb = str(request.path_params["verb"])
        if verb not in VERBS:
            return JsonAnswer({"error": f"there is nothing called {verb!r}; there are {', '.join(VERBS)}"}, 404)
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return JsonAnswer({"error": "send JSON, with Content-Type: application/json"}, 415)
        try:
            asked: object = foreign_text.read_json(await request.body())
        except ValueError:
            asked = None
        if not isinstance(asked, dict):
            raise ConfigurationError("the body is no JSON object")
        given = cast("dict[str, Any]", asked)
        do = partial(act, verb, given, who=who, db_path=self._url)
        try:
            done = await asyncio.to_thread(do)
        except AskAgain as question:
            return JsonAnswer({"ask": str(question)}, 409)
        except Meanwhile as other:
            return JsonAnswer({"error": "it was decided on meanwhile", "decision": other.decision}, 412)
        self._states.clear()
        return JsonAnswer(done)


def _still(state: Json) -> str:
    """An event that says: it stands as it did at that time."""
    return f"event: still\ndata: {state.get('at', '')}\n\n"


def _asked(request: Request, known: tuple[str, ...]) -> Mapping[str, str]:
    """The parameters of a request. Raises ConfigurationError: there are others."""
    for name in request.query_params:
        if name not in known:
            raise misspelt(name, f"parameter of {request.url.path}", known)
    return request.query_params


def _flag(asked: Mapping[str, str], name: str) -> bool:
    text = asked.get(name, "false")
    if text not in ("true", "false"):
        raise ConfigurationError(f"{name} is {text!r}; it must be true or false")
    return text == "true"


def _selection(asked: Mapping[str, str]) -> tuple[Selection, int]:
    """Which journal lines are asked for, and how many at most: the options of `agent-fuse calls`."""
    begin, end = asked_period.period(asked.get("since"), asked.get("until"), now=time.time())
    statuses = NOT_BOOKED if _flag(asked, "refused") else frozenset[Status]()
    statuses |= frozenset([Status.ESTIMATED, Status.PRESUMED] if _flag(asked, "estimated") else [])
    text = asked.get("limit", "20")
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= _MOST):
        raise ConfigurationError(f"limit is {text!r}; it must be a whole number from 1 to {_MOST:,}")
    which = Selection(
        since=begin,
        until=end,
        session=asked.get("session"),
        agent=asked.get("agent"),
        user=asked.get("user"),
        model=asked.get("model"),
        tool=asked.get("tool"),
        statuses=statuses or EVERY_STATUS,
    )
    return which, int(text)
