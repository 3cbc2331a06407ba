"""Reading a ledger in a test: what an account stands at, and whether the books balance."""

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal

from agent_fuse.account_names import booked_on, rolling
from agent_fuse.calls import Entry, Status, to_usd
from agent_fuse.ledgers.base import AMOUNTS, Amounts, Balance, Hold, Ledger, Meter, total

EVERYTHING = ("all",)
"""Accounts that see every call."""


class LedgerReader:
    """A ledger's figures, by account and meter; integers, nano-dollars for `usd`."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def balance(self, account: str) -> Balance:
        """The account as it stands; zero where unknown."""
        return self.ledger.balances([account]).get(account, Balance())

    def spent(self, account: str, meter: Meter = Meter.USD) -> int:
        """Settled on the account."""
        return _figure(self.balance(account).settled, meter)

    def held(self, account: str, meter: Meter = Meter.USD) -> int:
        """Reserved on the account by open holds."""
        return _figure(self.balance(account).held, meter)

    def spent_usd(self, account: str) -> Decimal:
        """Settled on the account, US dollars."""
        return to_usd(self.spent(account))

    def refused(self, account: str) -> int:
        """Calls refused on the account."""
        return self.balance(account).refused

    def accounts(self) -> dict[str, Balance]:
        """Every account."""
        return dict(self.ledger.accounts())

    def entries(self, *statuses: Status) -> list[Entry]:
        """The journal, oldest first; only lines of `statuses`, if any are named."""
        lines = [one for one in self.ledger.journal() if not statuses or one.status in statuses]
        return lines[::-1]

    def open_holds(self) -> list[Hold]:
        """Holds neither settled nor released, oldest first."""
        return self.ledger.holds()


def assert_books_balance(ledger: Ledger, *, everything: Sequence[str] = EVERYTHING) -> None:
    """Check that accounts, open holds and journal tell one story. Call it while nothing else writes.

    Every account: what it holds is the sum of the open holds that name it; no figure is negative; nothing settled
    on it exceeds the journal. Accounts in `everything` (those that see every call, where they exist): settled is
    exactly the journal's sum, tokens only while every line tells them; no refusal is missing (one more may be counted
    for each call that was refused and then booked). The journal: no call twice, and no call both open and booked. A
    pruned journal does not balance, by design.

    Raises:
        AssertionError: names every account and meter that is off, and by how much.
    """
    reader = LedgerReader(ledger)
    accounts, holds, lines = reader.accounts(), reader.open_holds(), reader.entries()
    faults = _journal_faults(lines, holds)
    for name, balance in accounts.items():
        faults += [f"{name}: {one}" for one in _hold_faults(name, balance, holds)]
        if rolling(name) is None:  # else what has left the window may be in it until it is asked for room
            faults += [f"{name}: {one}" for one in _settled_faults(balance, lines, exact=name in everything)]
    if faults:
        raise AssertionError("the books do not balance:\n  " + "\n  ".join(faults))


def _journal_faults(lines: Sequence[Entry], holds: Sequence[Hold]) -> list[str]:
    times = Counter(one.id for one in lines if one.status.is_booked)
    twice = [f"journal: call {call} is booked {count} times" for call, count in times.items() if count > 1]
    return twice + [f"journal: call {one.entry.id} is booked and still open" for one in holds if one.entry.id in times]


def _hold_faults(name: str, balance: Balance, holds: Sequence[Hold]) -> list[str]:
    held = total(one.amounts for one in holds if any(booked_on(on)[0] == name for on in one.accounts))
    pairs = [(meter, _figure(balance.held, meter), _figure(held, meter)) for meter in AMOUNTS]
    return [f"held {meter} is {has}, its open holds say {says}" for meter, has, says in pairs if has != says]


def _settled_faults(balance: Balance, lines: Sequence[Entry], *, exact: bool) -> list[str]:
    booked = [one for one in lines if one.status.is_booked]
    journal, all_tell = total(_amounts(one) for one in booked), all(_tells_tokens(one) for one in booked)
    figures = [
        (f"settled {meter}", _figure(balance.settled, meter), _figure(journal, meter))
        for meter in AMOUNTS
        if all_tell or meter not in _TOKENS
    ]
    faults = [
        f"{what}: {has}, the whole journal says {says}"
        for what, has, says in figures
        if has < 0 or has > says or (exact and has != says)
    ]
    # A refused call may be booked after all: its line is no longer refused, the account's count stays.
    refused = sum(one.status is Status.REFUSED for one in lines)
    least, most = refused if exact else 0, refused + len(booked)
    if not least <= balance.refused <= most:
        faults.append(f"refused calls: {balance.refused}, the whole journal says {least} to {most}")
    return faults


_TOKENS = (Meter.TOKENS, Meter.OUTPUT_TOKENS)


def _figure(amounts: Amounts, meter: Meter) -> int:
    figure: int = getattr(amounts, meter.value)
    return figure


def _tells_tokens(entry: Entry) -> bool:
    return _is_tool(entry) or (entry.input_tokens is not None and entry.output_tokens is not None)


def _is_tool(entry: Entry) -> bool:
    return entry.operation == "execute_tool"


def _amounts(entry: Entry) -> Amounts:
    tool = _is_tool(entry)
    return Amounts(
        usd=entry.cost,
        tokens=(entry.input_tokens or 0) + (entry.output_tokens or 0),
        output_tokens=entry.output_tokens or 0,
        calls=0 if tool else 1,
        tool_calls=1 if tool else 0,
    )
