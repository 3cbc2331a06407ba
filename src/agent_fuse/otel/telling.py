"""Free requests that tell of money: those after work begun before, a batch's input, containers that are made."""

from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import Any, cast

from agent_fuse import foreign_text
from agent_fuse.accounting.call_request import CallRequest, PendingCall
from agent_fuse.calls import Entry, Status, Usage, fields_of
from agent_fuse.endpoints import OPENAI
from agent_fuse.fuse import Fuse
from agent_fuse.limits import Demand, demand
from agent_fuse.otel.gate import CallSite, call_site
from agent_fuse.otel.request_gate import SOURCE, Flight
from agent_fuse.otel.response import observe
from agent_fuse.quoting.batch_files import quote_file, upload_of
from agent_fuse.sightings import Layer
from agent_fuse.told_later import LaterReader, WorkTold, teller_of


class _Listener(Flight):
    """Such a request under way. It costs nothing, so nothing is judged; its answer is heard however it is taken."""

    _heard = False

    def answered(self, response: Any) -> None:
        """An answer is here; its body may still be on its way."""
        if self._heard or response.status_code >= HTTPStatus.MULTIPLE_CHOICES:
            return
        self._heard = True
        reader = self._listener("text/event-stream" in response.headers.get("content-type", ""))
        if response.is_closed:
            reader.feed(response.content)
            reader.close()
            self._ended(reader, False)
        else:
            observe(response, reader, partial(self._ended, reader))

    def _ended(self, reader: Any, broken: bool) -> None:
        del broken  # what was told was told
        self._take(reader)

    def _listener(self, events: bool) -> Any:
        del events
        return _Whole()

    def _take(self, reader: Any) -> None:
        """The body has ended."""
        raise NotImplementedError


class _Whole:
    """A body that is read at its end."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self.told: object = None
        """The JSON that it is, once it has ended as it should."""

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the decoded body."""
        self._parts.append(data)

    def close(self) -> None:
        """The body ended as it should."""
        with suppress(ValueError):
            self.told = foreign_text.read_json(b"".join(self._parts))
        self._parts = []


class Telling(_Listener):
    """A request that asks after work begun before."""

    def __init__(self, provider: str, site: CallSite, asked: "partial[LaterReader]", *, listed: bool) -> None:
        super().__init__(provider)
        self._books = site.fuse
        self._caller = site.caller
        self._span_id = site.span_id
        self._asked = asked
        self._listed = listed

    def _listener(self, events: bool) -> Any:
        return self._asked(events=events)

    def _take(self, reader: Any) -> None:
        later = self._books.accounting.later
        told: tuple[WorkTold, ...] = reader.told
        for one in told:
            line = self._line(one) if one.results else None
            self._books.reentrancy.account(partial(later.settle, one, line, listed=self._listed))

    def _line(self, told: WorkTold) -> tuple[Entry, Demand]:
        """The call that these results are, should nobody have seen their batch."""
        request = CallRequest(
            layer=Layer.REQUEST,
            source=SOURCE,
            caller=self._caller,
            operation="batch",
            provider=self.provider,
            model=next((part.model for part in told.parts if part.model), ""),
            trace_id=self._caller.trace,
            span_id=self._span_id,
        )
        accounting, now = self._books.accounting, self._books.clock()
        due = demand(self._books.limits, self._caller, request.fact, now=now)
        pending = PendingCall(accounting.new_id(), request, now, due)
        return accounting.entry(pending, Status.SETTLED, (0, 0), Usage(), response_id=told.id), due


class Upload(_Listener):
    """The input file of a batch on its way: its lines are quoted under the id that it gets."""

    def __init__(self, provider: str, fuse: Fuse, file: bytes) -> None:
        super().__init__(provider)
        self._books = fuse
        self._file = file

    def _take(self, reader: Any) -> None:
        name = fields_of(reader.told)("id")
        quoter = self._books.accounting.quoter
        quoted = quote_file(self._file, quoter.for_body) if isinstance(name, str) else None
        if quoted is not None:
            quoter.batch_files.put(name, quoted)


class Containers(_Listener):
    """Containers being made or looked at: their memory is what code that runs in them later is billed by."""

    def _take(self, reader: Any) -> None:
        from agent_fuse.containers import GIGABYTES, note  # noqa: PLC0415 - few make one

        listed = fields_of(reader.told)("data")
        for one in cast("list[object]", listed) if isinstance(listed, list) else (reader.told,):
            field = fields_of(one)
            name, memory = field("id"), field("memory_limit")
            if isinstance(name, str) and isinstance(memory, str) and memory in GIGABYTES:
                note(name, GIGABYTES[memory])


def _tells_of_containers(method: str, url: str, sdk: str) -> bool:
    """Whether a request makes a container, or asks for one or all."""
    if sdk != OPENAI or method.lower() not in ("post", "get"):
        return False
    segments = url.partition("?")[0].rstrip("/").split("/")
    return segments[-1] == "containers" or (method.lower() == "get" and segments[-2:-1] == ["containers"])


def telling(method: str, url: str, sdk: str, body: object) -> Flight | None:
    """What follows a request that asks after such work; None for every other."""
    found = teller_of(method, url, sdk)
    file = upload_of(method, url, body) if found is None and sdk == OPENAI else None
    makes = found is None and _tells_of_containers(method, url, sdk)
    if found is None and file is None and not makes:
        return None
    site = call_site(asks=False)
    if site is None or not site.fuse.settings.request_gate:
        return None
    if makes:
        return Containers(sdk)
    if found is None:
        return Upload(sdk, site.fuse, file or b"")
    teller, work = found
    if work:
        site.fuse.accounting.later.ask_after(work)
    return Telling(sdk, site, partial(LaterReader, teller, work), listed=teller.lists)
