"""Free requests that tell of money: those that ask after work begun before, and the upload of a batch's input."""

from functools import partial
from http import HTTPStatus
from typing import Any

from agent_fuse import foreign_text
from agent_fuse.endpoints import OPENAI
from agent_fuse.fuse import Fuse
from agent_fuse.otel.gate import call_site
from agent_fuse.otel.request_gate import Flight
from agent_fuse.otel.response import observe
from agent_fuse.quoting.batch_files import quote_file, upload_of
from agent_fuse.told_later import LaterReader, teller_of


class Telling(Flight):
    """Such a request under way. It costs nothing, so nothing is judged."""

    def __init__(self, provider: str, fuse: Fuse, asked: "partial[LaterReader]") -> None:
        super().__init__(provider)
        self._books = fuse
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
        if reader.told is not None:
            accounting = self._books.accounting
            self._books.reentrancy.account(partial(accounting.later.settle, reader.told))


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


def telling(method: str, url: str, sdk: str, body: object) -> Flight | None:
    """What follows a request that asks after such work; None for every other."""
    found = teller_of(method, url, sdk)
    file = upload_of(method, url, body) if found is None and sdk == OPENAI else None
    if found is None and file is None:
        return None
    site = call_site(asks=False)
    if site is None or not site.fuse.settings.request_gate:
        return None
    if found is None:
        return Upload(sdk, site.fuse, file or b"")
    site.fuse.accounting.later.ask_after(found[1])
    return Telling(sdk, site.fuse, partial(LaterReader, *found))
