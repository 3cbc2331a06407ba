"""Free requests that tell of money: those after work begun before, a batch's input, containers that are made."""

from functools import partial
from http import HTTPStatus
from typing import Any, cast

from agent_fuse import foreign_text
from agent_fuse.accounting.call_request import CallRequest, PendingCall
from agent_fuse.calls import Entry, Status, Usage
from agent_fuse.endpoints import OPENAI
from agent_fuse.fuse import Fuse
from agent_fuse.limits import Demand, demand
from agent_fuse.otel.gate import CallSite, call_site
from agent_fuse.otel.request_gate import SOURCE, Flight
from agent_fuse.otel.response import observe
from agent_fuse.quoting.batch_files import quote_file, upload_of
from agent_fuse.sightings import Layer
from agent_fuse.told_later import LaterReader, Told, teller_of
from agent_fuse.usage_reader import GIGABYTES, fields_of


class Telling(Flight):
    """Such a request under way. It costs nothing, so nothing is judged."""

    def __init__(self, provider: str, site: CallSite, asked: "partial[LaterReader]") -> None:
        super().__init__(provider)
        self._books = site.fuse
        self._caller = site.caller
        self._span_id = site.span_id
        self._asked = asked
        self._heard = False

    def answered(self, response: Any) -> None:
        """An answer is here; its body may still be on its way."""
        if self._heard or response.status_code >= HTTPStatus.MULTIPLE_CHOICES:
            return
        self._heard = True
        reader = self._asked(events="text/event-stream" in response.headers.get("content-type", ""))
        if response.is_closed:
            reader.feed(response.content)
            reader.close()
            self._settle(reader, False)
        else:
            observe(response, reader, partial(self._settle, reader))

    def _settle(self, reader: LaterReader, broken: bool) -> None:
        del broken  # what was told was told
        if (told := reader.told) is not None:
            later = self._books.accounting.later
            self._books.reentrancy.account(partial(later.settle, told, self._line(told) if told.results else None))

    def _line(self, told: Told) -> tuple[Entry, Demand]:
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


class Upload(Flight):
    """The input file of a batch on its way: its lines are quoted under the id that it gets."""

    def __init__(self, provider: str, fuse: Fuse, file: bytes) -> None:
        super().__init__(provider)
        self._books = fuse
        self._file: bytes | None = file

    def answered(self, response: Any) -> None:
        """It has its id."""
        file, self._file = self._file, None
        if file is None or response.status_code >= HTTPStatus.MULTIPLE_CHOICES or not response.is_closed:
            return
        name = foreign_text.read_json(response.content).get("id")
        quoter = self._books.accounting.quoter
        quoted = quote_file(file, quoter.for_body)
        if isinstance(name, str) and quoted is not None:
            quoter.batch_files.put(name, quoted)


class Containers(Flight):
    """Containers being made or looked at: their memory is what code that runs in them later is billed by."""

    def answered(self, response: Any) -> None:
        """Their ids and memory are here."""
        if response.status_code >= HTTPStatus.MULTIPLE_CHOICES or not response.is_closed:
            return
        from agent_fuse.containers import note  # noqa: PLC0415 - few make one

        told: object = foreign_text.read_json(response.content)
        listed = fields_of(told)("data")
        for one in cast("list[object]", listed) if isinstance(listed, list) else (told,):
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
    site.fuse.accounting.later.ask_after(found[1])
    return Telling(sdk, site, partial(LaterReader, *found))
