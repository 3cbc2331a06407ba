"""The ledger in PostgreSQL: one round trip to reserve, one to settle, exact over any number of machines."""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from operator import sub
from typing import TypeVar

from agent_fuse.account_names import OF, booked_on, calendar, plain, rolling, within
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
from agent_fuse.ledgers.judging import short, stopped
from agent_fuse.ledgers.owners import Owner, is_dead, this_process
from agent_fuse.ledgers.postgres import queries, rows
from agent_fuse.ledgers.postgres.after import After
from agent_fuse.ledgers.postgres.connections import Server
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

    Raises:
        ConfigurationError, LedgerError: the URL is none, or the ledger cannot be opened.
    """

    def __init__(self, url: str, *, lock_timeout: float = 5.0) -> None:
        self._server = Server(url, lock_timeout)
        self._owner = this_process()
        bring_up(self._server)
        forks.watch(self)

    def reserve(self, hold: Hold, *, now: float) -> Reservation | Refusal:
        """See Ledger."""
        asked = self._figures("reserve", hold.amounts)
        names = codec.once(hold.accounts)
        places = rows.Places(names)
        here = self._owner
        owner = NOBODY if hold.outlives else (here.host, here.pid, here.started)
        line = rows.hold(hold, names, places, asked, owner)

        def ask(judged: bool, extras: Sequence[int]) -> tuple[str, list[codec.Row]]:
            found = self._server.ask("reserve", queries.RESERVE, (line, *rows.caps(hold.caps, extras), judged, now))
            return found[0][0], [rows.got(one[1:]) for one in found if one[1] is not None]

        state, after = self._judged(hold, ask, now)
        if isinstance(state, Refusal):
            return state
        if state == "booked":
            return Reservation(hold.entry.id, self.balances([booked_on(name)[0] for name in names], now=now))
        return Reservation(hold.entry.id, After(names, after, partial(self.balances, now=now)))

    def settle(self, entry: Entry, accounts: Sequence[str], amounts: Amounts, *, now: float) -> Settling:
        """See Ledger."""
        if entry.status is Status.REFUSED:
            raise self._unwritable("settle", f"call {entry.id!r} is refused; that is for refuse()")
        figures = self._figures("settle", amounts)
        names = codec.once(tuple(accounts))
        line = rows.line(entry, names, rows.Places(names), figures)
        return Settling(self._server.ask("settle", "SELECT agent_fuse.settle(%s, %s)", (line, now))[0][0])

    def count(self, hold: Hold, note: NoteChange | None = None, *, now: float) -> Reservation | Refusal | None:
        """See Ledger."""
        asked = self._figures("count", hold.amounts)
        names = codec.once(hold.accounts)
        places = rows.Places(names)
        held = rows.hold(hold, names, places, asked, NOBODY)
        line = rows.line(hold.entry, names, places, asked)
        left = note

        def ask(judged: bool, extras: Sequence[int]) -> tuple[str, list[codec.Row]]:
            nonlocal left
            for _ in range(_TRIES):
                key = before = after = None
                counts = True
                if left is not None:
                    key, before = rows.put(left.key), self._note(left.key)
                    after, counts = left.change(before)
                caps = rows.caps(hold.caps, extras)
                values = (held, line, *caps, judged, now, key, before, after, counts)
                state = self._server.ask("count", queries.COUNT, values)[0][0]
                if state != "changed":
                    left = left if state == "controlled" else None
                    return state, []
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
        ask: Callable[[bool, Sequence[int]], tuple[str, list[codec.Row]]],
        now: float,
        note_first: NoteChange | None = None,
    ) -> tuple[str | Refusal, list[codec.Row]]:
        """Ask until it is granted, or there is a reason why not: others may make room between the two questions."""
        extras, judged = [0] * len(hold.caps), False
        for _ in range(_TRIES):
            try:
                state, after = ask(judged, extras)
            except Unwritable:
                refused = self._refusal(hold, self._in_force(hold.accounts), now)
                if refused is None:
                    raise
                if note_first is not None:
                    self.update_note(note_first.key, note_first.change, now=now)
                return refused, []
            if state not in ("controlled", "short"):
                return state, after
            if state == "short" and not judged:
                refused = self._refusal(hold, NONE, now)
            else:
                accounts = (*hold.accounts, *hold.subjects())
                controls = self._in_force((*accounts, *(cap.account for cap in hold.caps)))
                refused = stopped(controls, accounts)
                if refused is not None and note_first is not None and state == "controlled":
                    self.update_note(note_first.key, note_first.change, now=now)
                extras = [controls.topped_up(cap.account, cap.meter, now) for cap in hold.caps]
                judged = True
                if refused is None and state == "short":
                    refused = self._refusal(hold, controls, now)
            if refused is not None:
                return refused, []
        raise Busy("reserve", self._server.where, "others took and gave back what was left all the time")

    def _refusal(self, hold: Hold, controls: Controls, now: float) -> Refusal | None:
        asked: Figures = codec.figures_of(hold.amounts)
        on = {booked_on(name)[0] for name in hold.accounts}
        found = self._as_of([cap.account for cap in hold.caps], now)
        mine = self._server.ask("reserve", queries.HELD_BY, (rows.put(hold.entry.id),))
        held_on = {name.replace(rows.NUL, "\0"): one[1:] for one in mine for name in one[0]}
        return tightest(
            short(
                cap,
                found.get(cap.account),
                asked if cap.account in on else NOTHING,
                held_on.get(cap.account, NOTHING),
                now=now,
                buckets=self._buckets,
                extra=controls.topped_up(cap.account, cap.meter, now),
            )
            for cap in hold.caps
        )

    def release(self, id: str, *, now: float) -> bool:
        """See Ledger."""
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
        found = self._as_of([cap.account for cap in caps], now) if caps else {}
        return stopped(controls, accounts) or tightest(
            short(
                cap,
                found.get(cap.account),
                None,
                now=now,
                buckets=self._buckets,
                extra=controls.topped_up(cap.account, cap.meter, now),
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
        page = self._server.ask("accounts", queries.ACCOUNTS_FROM, ("",))
        while page:
            for name, *figures in map(rows.got, page):
                if not booked_on(name)[1]:
                    yield name, codec.balance(tuple(figures))
            page = self._server.ask("accounts", queries.ACCOUNTS_AFTER, (page[-1][0],))

    def holds(self) -> list[Hold]:
        """See Ledger."""
        return [codec.hold(rows.got(one)) for one in self._server.ask("holds", queries.HOLDS)]

    def journal(self, *, since: float = 0, limit: int | None = None) -> Iterator[Entry]:
        """See Ledger. Read a page at a time."""
        left = _LARGEST if limit is None else limit
        at, last = math.inf, ""
        while left > 0 and (
            page := self._server.ask("journal", queries.LINES, (since, at, last, min(left, queries.PAGE)))
        ):
            for row in page:
                yield codec.entry(rows.got(row))
            last, at = page[-1][:2]
            left -= len(page)

    def sweep(self, *, now: float) -> list[Entry]:
        """See Ledger. One call after another: each is a transaction of its own."""
        here = self._owner
        found: list[Entry] = []
        owners = self._server.ask("sweep", queries.OWNERS, (here.host,))
        for row in owners:
            if is_dead(Owner(host=row[0], pid=row[1], started=row[2]), here=here):
                found += self._presume(queries.OF_OWNER, row, "owner died", now)
        return found + self._presume(queries.OF_THE_PAST, (now,), "expired", now)

    def _presume(self, which: str, values: codec.Row, reason: str, now: float) -> list[Entry]:
        booked: list[Entry] = []
        while page := self._server.ask("sweep", which, values):
            for one in map(codec.hold, map(rows.got, page)):
                entry = replace(one.entry, status=Status.PRESUMED, reason=reason)
                if self.settle(entry, one.accounts, one.amounts, now=now) is Settling.BOOKED:
                    booked.append(entry)
        return booked

    def prune(self, *, before: float) -> int:
        """See Ledger. Dropped a page at a time, and others write in between."""
        dropped = 0
        while page := self._server.ask("prune", queries.PRUNE, (before,)):
            dropped += len(page)
        self._server.ask("prune", queries.PRUNE_NOTES, (before,))
        last = ""
        while names := [one for (one,) in self._server.ask("prune", queries.INTERVALS, (last,))]:
            for name in names:
                self._drop_ended(name, before)
            last = names[-1]
        return dropped

    def _drop_ended(self, name: str, before: float) -> None:
        found = calendar(name)
        base, _, bucket = name.partition(OF)
        if found is not None:
            if found[0].leaves(found[2]) <= before:
                self._server.ask("prune", queries.DROP_IDLE, (name,))
        elif (window := rolling(base)) is not None and window.leaves(bucket) <= before:
            self._server.ask("prune", "SELECT agent_fuse.let_leave(%s, %s, %s)", (base, window.seconds, before))

    def update_note(self, key: str, change: Callable[[bytes | None], tuple[bytes | None, T]], *, now: float) -> T:
        """See Ledger. Changed only if it is still as it was read, else read again."""
        for _ in range(_TRIES):
            before = self._note(key)
            after, answer = change(before)
            values = (rows.put(key), before, after, now)
            if (
                before == after
                or self._server.ask("update_note", "SELECT agent_fuse.swap_note(%s, %s, %s, %s)", values)[0][0]
            ):
                return answer
        raise Busy("update_note", self._server.where, "others changed the same note all the time")

    def close(self) -> None:
        """See Ledger. A later call connects again."""
        self._server.close()

    def before_fork(self) -> None:
        """Nothing to do: connections are taken out whole."""

    def after_fork(self, *, child: bool) -> None:
        """A child owns its own holds, and connects by itself."""
        if child:
            self._owner = this_process()
            self._server.renew()

    def _note(self, key: str) -> bytes | None:
        found = self._server.ask("read", "SELECT value FROM agent_fuse.notes WHERE key = %s", (rows.put(key),))
        return bytes(found[0][0]) if found else None

    def _in_force(self, accounts: Iterable[str]) -> Controls:
        return read_controls(self.controls(map(plain, accounts)))

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
