"""Calls that go on at the provider: held until an answer tells what they cost, in this process or in another one.

A note under the provider's id keeps whose call it is. Until then the hold stands, whatever becomes of its process; when
it expires it is presumed spent at its quote, which a later answer still corrects.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from typing import Any

from agent_fuse.accounting.call_request import Event, PendingCall
from agent_fuse.accounting.ledger_retry import LedgerRetry
from agent_fuse.accounting.listeners import Listeners
from agent_fuse.calls import Entry, Status
from agent_fuse.errors import UnknownModelError
from agent_fuse.foreign_text import unbroken
from agent_fuse.ledgers.base import ZERO, Amounts, Hold, Ledger, Settling
from agent_fuse.limits import Demand
from agent_fuse.prices import PriceBook
from agent_fuse.quoting import request_parameters, units
from agent_fuse.quoting.names import bare
from agent_fuse.quoting.rates import Origin, Rates
from agent_fuse.quoting.recent import Recent
from agent_fuse.told_later import Clip, Part, WorkTold
from agent_fuse.wire import semantic_operation

LATER_SECONDS = 48 * 3_600.0
"""How long such a hold stands: batches are done or have expired after 24 hours at both providers."""

_ASKED = 1_024
"""Ids of the work last asked after, or last listed as over, that are remembered."""

_BATCHES = ("batch", "message_batch")
_DONE = b"done"
"""Note of work that is booked: its results may be read again, and are no other call."""
_SUMMED = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """What the ledger remembers of a call until it is told of."""

    entry: Entry
    accounts: tuple[str, ...]
    tier: str
    """The tier that was asked for; of a batch, the batch's."""
    seconds: str = ""
    """Length of a video, or of what is added to it, where it was asked for."""

    def packed(self) -> bytes:
        told = {one.name: getattr(self.entry, one.name) for one in fields(Entry) if one.name != "refused_by"}
        return json.dumps(
            {"entry": told, "accounts": self.accounts, "tier": self.tier, "seconds": self.seconds}
        ).encode()

    @staticmethod
    def unpacked(value: bytes) -> "_Kept":
        told: Any = json.loads(value)
        names = {one.name for one in fields(Entry)}
        entry = {name: one for name, one in told["entry"].items() if name in names}
        entry["status"] = Status(entry["status"])
        return _Kept(
            entry=Entry(**entry), accounts=tuple(told["accounts"]), tier=told["tier"], seconds=told.get("seconds", "")
        )


class Later:
    """Keeps such calls, and settles them."""

    def __init__(
        self,
        ledger: Ledger,
        retry: LedgerRetry,
        book: PriceBook,
        clock: Callable[[], float],
        tell: Listeners[[Event]],
    ) -> None:
        self._ledger = ledger
        self._retry = retry
        self._book = book
        self._clock = clock
        self._tell = tell
        self._asked: Recent[str, bool] = Recent(_ASKED)
        self._over: Recent[str, bool] = Recent(_ASKED)

    def ask_after(self, id: str) -> None:
        """This process asks for the work with this id: what a span tells of that is no call."""
        self._asked.put(id, True)

    def was_asked_after(self, id: str) -> bool:
        """Whether this process has asked for the work with this id."""
        return bool(id) and self._asked.get(id) is True

    def keep(self, pending: PendingCall, entry: Entry, amounts: Amounts) -> None:
        """The call goes on under `pending.later`: its hold stays, and outlives this process."""
        body = request_parameters.opened(pending.request.body) or {}
        asked = request_parameters.tier(body)
        kept = _Kept(
            entry=replace(entry, status=Status.PRESUMED, operation=pending.request.operation),
            accounts=pending.due.accounts,
            tier="batch" if pending.request.operation in _BATCHES else asked,
            seconds=str(body.get("seconds") or "") if pending.request.operation == "video" else "",
        )
        if pending.clip is not None:
            entry = _of_clip(kept, entry, pending.clip)
            amounts = replace(amounts, usd=entry.cost)
            kept = replace(kept, entry=replace(kept.entry, cost=entry.cost, model=entry.model))
        hold = Hold(
            entry=replace(entry, status=Status.PRESUMED),
            accounts=pending.due.accounts,
            amounts=amounts,
            expires_at=self._clock() + LATER_SECONDS,
            outlives=True,
        )

        def work() -> None:
            first = self._note(pending.later, lambda value: (_open(value) or kept.packed(), _open(value)))
            again = first is not None and _Kept.unpacked(first).entry.id != entry.id
            if again and pending.request.operation == "run":  # its tools' outputs were handed in: it is held already
                self._ledger.release(entry.id, now=self._clock())
                return
            if again:
                self._note(pending.later, lambda _: (kept.packed(), None))
            self._ledger.reserve(hold, now=self._clock())

        self._retry.do("reserve", work)

    def settle(self, told: WorkTold, reader: tuple[Entry, Demand] | None = None, *, listed: bool = False) -> None:
        """An answer with this id came by; it may be of any process's call, or of none.

        `reader` is the line of a call by whoever asked: on it are booked results of which nobody saw the batch.
        `listed`: work that is over is told of in every list, and looked up in the ledger for the first of them alone.
        """
        if listed and self._over.get(told.id):
            return
        self._retry.do("settle", lambda: self._settle(told, reader))
        if listed:
            self._over.put(told.id, True)

    def _settle(self, told: WorkTold, reader: tuple[Entry, Demand] | None) -> None:
        value = self._note(told.id, lambda value: (value, value))
        if value == _DONE:
            return
        if value is None:
            if reader is not None and told.results:
                self._book_results(told, *reader)
            return
        if told.file:
            note = _DONE if told.parts else value
            if self._note(told.file, lambda known: (known if known == _DONE else note, known)) == _DONE:
                told = WorkTold(id=told.id, free=True)  # its results were read, and booked, before anybody saw it done
            elif not told.parts:
                self._note(told.id, lambda _: (None, None))  # else each time it is asked after, its file tells anew
                return
        self._settle_kept(_Kept.unpacked(value), told)

    def _settle_kept(self, kept: _Kept, told: WorkTold) -> None:
        now = self._clock()
        if not (told.free and self._ledger.release(kept.entry.id, now=now)):
            entry = self._entry(kept, told)
            amounts = ZERO if told.free else amounts_of(entry)
            self._ledger.settle(entry, kept.accounts, amounts, now=now)
            self._tell(Event(entry, Demand(kept.accounts, (), ())))
        if not told.stopped:
            self._note(told.id, lambda _: (_DONE if told.results else None, None))

    def _book_results(self, told: WorkTold, line: Entry, due: Demand) -> None:
        """Nobody saw their batch: they are a call of who reads them, once, whichever processes do so."""
        line = replace(line, id=f"results of {told.id}", operation=_BATCHES[0])
        kept = _Kept(entry=line, accounts=due.accounts, tier="batch")
        entry = self._entry(kept, told)
        if self._ledger.settle(entry, kept.accounts, amounts_of(entry), now=self._clock()) is Settling.BOOKED:
            self._tell(Event(entry, due))
        self._note(told.id, lambda _: (_DONE, None))

    def _entry(self, kept: _Kept, told: WorkTold) -> Entry:
        entry = replace(
            kept.entry, operation=semantic_operation(kept.entry.operation), status=Status.SETTLED, reason=""
        )
        if told.free:
            return replace(entry, cost=0, fee=0, input_tokens=0, output_tokens=0)
        if told.stopped:
            return replace(entry, status=Status.ESTIMATED, reason="quote")
        if told.trained_tokens is not None:
            cost = units.training(bare(entry.model), told.trained_tokens)
            return replace(entry, cost=cost, fee=0, input_tokens=told.trained_tokens, output_tokens=0)
        if told.clip is not None:
            return _of_clip(kept, entry, told.clip)
        summed: dict[str, Any] = {name: _total(told.parts, name) for name in _SUMMED}
        model = next((part.model for part in told.parts if part.model), "")
        bills = [self._bill(kept, part) for part in told.parts]
        cost, fee = sum(bill[0] for bill in bills), sum(bill[1] for bill in bills)
        return replace(entry, cost=cost, fee=fee, model=entry.model or model, **summed)

    def _bill(self, kept: _Kept, part: Part) -> tuple[int, int]:
        """Nano-dollars, and what of them is fees, by the model asked for; of a batch by the one each request names."""
        if part.clip is not None:
            return _of_clip(kept, kept.entry, part.clip).cost, 0
        batch = kept.entry.operation in _BATCHES
        told = part.tier if not batch or part.tier is None else f"@{part.tier.partition('@')[2]}"
        tier = request_parameters.served_tier(kept.tier, told)
        asked, served = (part.model, kept.entry.model) if batch else (kept.entry.model, part.model)
        rates = self._rates(asked or served, kept.entry.provider, tier)
        if rates.origin is Origin.FALLBACK and served:
            rates = self._rates(served, kept.entry.provider, tier)
        if part.requests > 1:
            rates = rates.of_size((part.usage.input_tokens or 0) // part.requests)
        cost, fee = rates.bill(part.usage)
        for name, one in part.usage.parts:
            more, of_it = self._rates(name or asked or served, kept.entry.provider, tier).bill(one)
            cost, fee = cost + more, fee + of_it
        return cost, fee

    def _rates(self, model: str, provider: str, tier: str) -> Rates:
        try:
            return self._book.rates(model or None, provider or None, tier=tier)
        except UnknownModelError:  # it was made, even where unknown models are blocked
            return self._book.rates(None, None)

    def _note(self, id: str, change: Callable[[bytes | None], tuple[bytes | None, bytes | None]]) -> bytes | None:
        return self._ledger.update_note(f"later/{unbroken(id)}", change, now=self._clock())


def _open(value: bytes | None) -> bytes | None:
    """The note of work that is not booked yet."""
    return None if value == _DONE else value


def _of_clip(kept: _Kept, entry: Entry, clip: Clip) -> Entry:
    """The line of a video, by its seconds, model and size; those asked for are the ones that are made."""
    asked = {"seconds": kept.seconds or clip.seconds, "size": clip.size, "service_tier": kept.tier}
    cost = units.video(bare(clip.model), asked)
    return replace(entry, cost=cost, fee=0, model=entry.model or unbroken(clip.model), input_tokens=0, output_tokens=0)


def amounts_of(entry: Entry) -> Amounts:
    """What a journal line books."""
    tokens = (entry.input_tokens or 0) + (entry.output_tokens or 0)
    return Amounts(usd=entry.cost, tokens=tokens, output_tokens=entry.output_tokens or 0, calls=1)


def _total(parts: Iterable[Part], name: str) -> int | None:
    told = [figure for part in parts if (figure := getattr(part.usage, name)) is not None]
    return sum(told) if told else None
