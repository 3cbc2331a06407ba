"""Requests that ask after work begun before: their answers tell what it cost, whoever began it."""

from functools import partial
from http import HTTPStatus
from typing import Any

from agent_fuse.fuse import Fuse
from agent_fuse.otel.gate import call_site
from agent_fuse.otel.request_gate import Flight
from agent_fuse.otel.response import observe
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


def telling(method: str, url: str, sdk: str) -> Telling | None:
    """What follows a request that asks after such work; None for every other."""
    found = teller_of(method, url, sdk)
    site = call_site(asks=False) if found is not None else None
    if found is None or site is None or not site.fuse.settings.request_gate:
        return None
    site.fuse.accounting.later.ask_after(found[1])
    return Telling(sdk, site.fuse, partial(LaterReader, *found))
