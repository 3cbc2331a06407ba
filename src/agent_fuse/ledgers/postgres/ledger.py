"""The ledger in PostgreSQL: one round trip to reserve, one to settle, exact over any number of machines."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from operator import sub
from typing import Any, TypeVar

from agent_fuse.account_names import OF, booked_on, rolling, within
from agent_fuse.account_names import plain as without_window
from agent_fuse.calls import Entry, Status
from agent_fuse.ledgers import codec, forks
from agent_fuse.ledgers.base import (
    Amounts,
    Balance,
    Busy,
    Cap,
    Hold,
    NoteChange,
    Refusal,
    Reservation,
    Settling,
    Unwritable,
    tightest,
)
from agent_fuse.ledgers.codec import NO_ACCOUNT, NOTHING, WIDTH, Account, Figures
from agent_fuse.ledgers.controls import NONE, Controls
from agent_fuse.ledgers.controls import read as read_controls
from agent_fuse.ledgers.judging import beside, short, stopped, used_now
from agent_fuse.ledgers.leases.base import LeaseStep, Taken
from agent_fuse.ledgers.owners import this_process
from agent_fuse.ledgers.postgres import lease, pages, plain, queries, refusals, rows, upkeep
from agent_fuse.ledgers.postgres.after import BalancesAfter
from agent_fuse.ledgers.postgres.combining import Combined
from agent_fuse.ledgers.postgres.connections import NotPlain, ServerConnections
from agent_fuse.ledgers.postgres.plain import CallResult, Plain
from agent_fuse.ledgers.postgres.pulse import Pulse
from agent_fuse.ledgers.postgres.recent import RecentNames
from agent_fuse.ledgers.postgres.tables import bring_up

T = TypeVar("T")

_LARGEST = 2**63 - 1
_TRIES = 1000
NOBODY = ("", 0, 0)


class PostgresLedger:
    """A ledger in the database at `url`; its tables are made where they are not there.

    Args:
        url: `postgresql://user@host/database`, and what libpq takes beside.
        lock_timeout: seconds that a statement may take, before a LedgerError.
        synchronous: `"full"`: a booking too waits until it is on the server's disk, as holds do.

    Raises:
        ConfigurationError, LedgerError: the URL is none, or the ledger cannot be opened.
    """

    def __init__(self, url: str, *, lock_timeout: float = 5.0, synchronous: str = "normal") -> None:
        self._server = ServerConnections(url, lock_timeout, synchronous)
        self._begin()
        bring_up(self._server)
        forks.watch(self)

    def reserve(self, hold: Hold, *, now: float) -> Reservation | Refusal:
        """See Ledger."""
        asked = self._figures("reserve", hold.amounts)
        call_id, names = hold.entry.id, codec.once(hold.accounts)
        places = rows.Places(names)
        owner = NOBODY if hold.outlives else self._pulse.holding(now)
        line = rows.hold(hold, names, places, asked, owner)
        shares = None if call_id in self._held else plain.shares(hold, places, asked)
        call = Plain(hold, line, shares or (), now)
        found, after = self._judged(hold, partial(self._reserve, call), now)
        if isinstance(found, Refusal):
            return found
        if found == "booked":
            return Reservation(call_id, self.balances([booked_on(name)[0] for name in names], now=now))
        self._held.add(call_id)
        return Reservation(call_id, BalancesAfter(names, after, partial(self.balances, now=now)))

    def _reserve(self, call: Plain, judged: bool, extras: Sequence[int]) -> CallResult:
        return self._reserve_alone(call, judged, extras) if judged or not call.shares else self._reserving.ask(call)

    def _reserve_alone(self, call: Plain, judged: bool = False, extras: Sequence[int] = ()) -> CallResult:
        values = (
            rows.written(call.line),
            *rows.caps(call.hold.caps, extras or [0] * len(call.hold.caps)),
            judged,
            call.now,
        )
        late = None if call.hold.entry.id in self._held else partial(self._give_back, call)
        state, names, figures, facts = self._server.often("reserve", queries.RESERVE, values, late)[0]
        return CallResult(state, plain.by_name(names or (), figures or ()), facts)

    def _give_back(self, call: Plain, answer: list[codec.Row]) -> None:
        """It was held when nobody waited for it any more."""
        if answer[0][0] == "held":
            self.release(call.hold.entry.id, now=call.now)

    def _reserve_together(self, calls: Sequence[Plain]) -> Sequence[CallResult] | None:
        shares = plain.together([call.shares for call in calls])
        lines = rows.written([call.line for call in calls])
        values = (rows.written(shares), lines, max(call.now for call in calls))
        try:
            figures = self._server.often("reserve", queries.RESERVE_TOGETHER, values)[0][0]
        except (NotPlain, Busy, Unwritable):
            return None
        return None if figures is None else [CallResult("held", plain.after(shares, figures))] * len(calls)

    def settle(self, entry: Entry, accounts: Sequence[str], amounts: Amounts, *, now: float) -> Settling:
        """See Ledger."""
        if not entry.status.is_booked:
            raise self._unwritable("settle", f"call {entry.id!r} is refused; that is for refuse()")
        figures = self._figures("settle", amounts)
        names = codec.once(tuple(accounts))
        line = rows.line(entry, names, rows.Places(names), figures)
        if entry.status is not Status.SETTLED or entry.id not in self._held:
            return self._settle_alone((line, now))
        self._held.discard(entry.id)
        return self._settling.ask((line, now))

    def _settle_alone(self, asked: tuple[dict[str, Any], float]) -> Settling:
        line, now = asked
        return Settling(self._server.often("settle", queries.SETTLE, (rows.written(line), now))[0][0])

    def _settle_together(self, asked: Sequence[tuple[dict[str, Any], float]]) -> Sequence[Settling] | None:
        values = (rows.written([line for line, _ in asked]), max(now for _, now in asked))
        try:
            done = self._server.often("settle", queries.SETTLE_TOGETHER, values)[0][0]
        except (NotPlain, Busy, Unwritable):
            return None
        return [Settling.BOOKED] * len(asked) if done else None

    def count(self, hold: Hold, note: NoteChange | None = None, *, now: float) -> Reservation | Refusal | None:
        """See Ledger."""
        asked = self._figures("count", hold.amounts)
        names = codec.once(hold.accounts)
        places = rows.Places(names)
        held = rows.written(rows.hold(hold, names, places, asked, NOBODY))
        line = rows.written(rows.line(hold.entry, names, places, asked))
        left = note

        def ask(judged: bool, extras: Sequence[int]) -> CallResult:
            nonlocal left
            for _ in range(_TRIES):
                key = before = after = None
                counts = True
                if left is not None:
                    key, before = rows.put(left.key), self._note(left.key)
                    after, counts = left.change(before)
                caps = rows.caps(hold.caps, extras)
                values = (held, line, *caps, judged, now, key, before, after, counts)
                state = self._server.often("count", queries.COUNT, values)[0][0]
                if state != "changed":
                    left = left if state == "controlled" else None
                    return CallResult(state)
            raise Busy("count", self._server.where, "others changed the same note all the time")

        state, _ = self._judged(hold, ask, now, note_first=note)
        if isinstance(state, Refusal):
            return state
        if state == "uncounted":
            return None
        return Reservation(hold.entry.id, self.balances([booked_on(name)[0] for name in names], now=now))

    def _judged(
        self,
        hold: Hold,
        ask: Callable[[bool, Sequence[int]], CallResult],
        now: float,
        note_first: NoteChange | None = None,
    ) -> tuple[str | Refusal, Mapping[str, Sequence[int]]]:
        """Ask until it is granted, or there is a reason why not: others may make room between the two questions."""
        extras, judged, controls = [0] * len(hold.caps), False, NONE
        for _ in range(_TRIES):
            try:
                answer = ask(judged, extras)
            except Unwritable:
                refused = self._refusal(hold, self._in_force(hold.accounts), now)
                if refused is None:
                    raise
                if note_first is not None:
                    self.update_note(note_first.key, note_first.change, now=now)
                return refused, {}
            if answer.state not in ("controlled", "short"):
                return answer.state, answer.after
            if answer.state == "short":
                refused = self._refusal(hold, controls, now, answer.facts)
            else:
                accounts = (*hold.accounts, *hold.subjects())
                if answer.facts is not None:
                    controls = read_controls(dict(map(rows.got, json.loads(answer.facts).items())))
                else:
                    controls = self._in_force((*accounts, *(cap.account for cap in hold.caps)))
                refused = stopped(controls, accounts)
                if refused is not None and note_first is not None:
                    self.update_note(note_first.key, note_first.change, now=now)
                extras = [controls.more_for(cap, hold.place, now) for cap in hold.caps]
                judged = True
            if refused is not None:
                return refused, {}
        raise Busy("reserve", self._server.where, "others took and gave back what was left all the time")

    def _refusal(self, hold: Hold, controls: Controls, now: float, facts: str | None = None) -> Refusal | None:
        if facts is None:
            on, windows, _, _ = rows.caps(hold.caps)
            facts = self._server.ask("reserve", queries.FACTS, (rows.put(hold.entry.id), on, windows, now))[0][0]
        return refusals.tightest_of(hold, controls, now, str(facts))

    def release(self, id: str, *, now: float) -> bool:
        """See Ledger."""
        self._held.discard(id)
        return bool(self._server.ask("release", "SELECT agent_fuse.release(%s, %s)", (rows.put(id), now))[0][0])

    def refuse(self, entry: Entry, accounts: Sequence[str], *, now: float) -> None:
        """See Ledger."""
        places = rows.Places(accounts)
        values = (rows.refused_line(entry), places.accounts, json.dumps(places.earlier()))
        self._server.ask("refuse", queries.REFUSE, values)

    def used_up(self, caps: Sequence[Cap], subjects: Iterable[str] = (), *, now: float) -> Refusal | None:
        """See Ledger."""
        accounts = (*(cap.account for cap in caps), *subjects)
        controls = self._in_force(accounts)
        found = self._as_of([*(cap.account for cap in caps), *controls.children()], now) if caps else {}
        used = used_now(found.get)
        return stopped(controls, accounts) or tightest(
            short(
                cap,
                found.get(cap.account),
                None,
                beside(NOTHING, controls.kept(cap.account, used, now)),
                now=now,
                buckets=self._buckets,
                controls=controls,
            )
            for cap in caps
        )

    def control(
        self, account: str, before: str | None, after: str | None, note: tuple[str, bytes] | None = None, *, now: float
    ) -> bool:
        """See Ledger."""
        key, value = (rows.put(note[0]), note[1]) if note else (None, None)
        values = (rows.put(account), before, after, key, value, now)
        return bool(self._server.ask("control", queries.CONTROL, values)[0][0])

    def controls(self, accounts: Iterable[str] | None = None) -> dict[str, str]:
        """See Ledger."""
        if accounts is None:
            return dict(rows.got(one) for one in self._server.ask("controls", queries.CONTROLS))
        names = list(dict.fromkeys(map(rows.put, accounts)))
        return dict(rows.got(one) for one in self._server.ask("controls", queries.CONTROLS_OF, (names,)))

    def balances(self, accounts: Sequence[str], *, now: float | None = None) -> dict[str, Balance]:
        """See Ledger."""
        found = self._as_of(accounts, now) if accounts else {}
        return {name: codec.balance(found.get(name, NO_ACCOUNT)) for name in accounts}

    def accounts(self) -> Iterator[tuple[str, Balance]]:
        """See Ledger. Read a page at a time, each as it stands then."""
        return pages.accounts(self._server)

    def holds(self) -> list[Hold]:
        """See Ledger."""
        return [codec.hold(rows.got(one)) for one in self._server.ask("holds", queries.HOLDS)]

    def journal(self, *, since: float = 0, limit: int | None = None) -> Iterator[Entry]:
        """See Ledger. Read a page at a time."""
        return pages.journal(self._server, since, _LARGEST if limit is None else limit)

    def sweep(self, *, now: float) -> list[Entry]:
        """See Ledger. One call after another: each is a transaction of its own."""
        return upkeep.sweep(self._server, self, this_process(), now)

    def prune(self, *, before: float) -> int:
        """See Ledger. Dropped a page at a time, and others write in between."""
        return upkeep.prune(self._server, before)

    def update_note(self, key: str, change: Callable[[bytes | None], tuple[bytes | None, T]], *, now: float) -> T:
        """See Ledger. Changed only if it is still as it was read, else read again."""
        for _ in range(_TRIES):
            before = self._note(key)
            after, answer = change(before)
            values = (rows.put(key), before, after, now)
            if before == after or self._server.ask("update_note", queries.SWAP_NOTE, values)[0][0]:
                return answer
        raise Busy("update_note", self._server.where, "others changed the same note all the time")

    def lease(self, step: LeaseStep, *, now: float) -> Taken:
        """See leases.base.Lessor."""
        return lease.take(self._server, self._pulse.holding(now), step, now)

    def close(self) -> None:
        """See Ledger. A later call connects again."""
        self._pulse.end()
        self._server.close()

    def before_fork(self) -> None:
        """Nothing to do: connections are taken out whole."""

    def after_fork(self, *, child: bool) -> None:
        """A child owns its own holds, and connects by itself."""
        if child:
            self._server.renew()
            self._begin()

    def _begin(self) -> None:
        self._held = RecentNames()
        self._pulse = Pulse(self._server)
        self._reserving = Combined(self._reserve_alone, self._reserve_together)
        self._settling = Combined(self._settle_alone, self._settle_together)

    def _note(self, key: str) -> bytes | None:
        found = self._server.ask("read", "SELECT value FROM agent_fuse.notes WHERE key = %s", (rows.put(key),))
        return bytes(found[0][0]) if found else None

    def _in_force(self, accounts: Iterable[str]) -> Controls:
        return read_controls(self.controls(map(without_window, accounts)))

    def _as_of(self, accounts: Sequence[str], now: float | None) -> dict[str, Account]:
        """The accounts that there are, as they stand at `now`."""
        names = list(map(rows.put, accounts))
        found = {one[0]: one[1:] for one in map(rows.got, self._server.ask("balances", queries.ACCOUNTS, (names,)))}
        for name in [] if now is None else list(found):
            window = rolling(name)
            if window is not None and now is not None:
                ends = (rows.put(f"{name}{OF}"), rows.put(within(name, window.oldest(now))))
                for _, *gone in self._server.ask("balances", queries.BUCKETS, ends):
                    found[name] = (*map(sub, found[name][:WIDTH], gone), *found[name][WIDTH:])
        return found

    def _buckets(self, name: str) -> Iterator[tuple[str, Figures]]:
        start = rows.put(f"{name}{OF}")
        for bucket, *settled in self._server.ask("balances", queries.BUCKETS, (start, f"{start}a")):
            yield bucket[len(start) :], tuple(settled)

    def _figures(self, operation: str, amounts: Amounts) -> Figures:
        figures: Figures = codec.figures_of(amounts)
        if min(figures) < 0 or max(figures) > _LARGEST:
            raise self._unwritable(operation, f"amounts are whole numbers from 0 to 2^63 - 1; got {amounts}")
        return figures

    def _unwritable(self, operation: str, cause: str) -> Unwritable:
        return Unwritable(operation, self._server.where, cause)
