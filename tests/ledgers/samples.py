"""Calls and holds for the ledger tests."""

from agent_fuse.calls import Entry, Status
from agent_fuse.ledgers.base import Amounts, Cap, Hold, Ledger, Meter, Refusal, Reservation

NOW = 1_800_000_000.0
PRICE = 7_500_000
"""Nano-dollars of the seed's call: $0.0075."""


def line(call, usd=PRICE, status=Status.SETTLED, at=NOW, **more):
    """A journal line whose tokens and cost are as `amounts(usd)` says."""
    return Entry(id=call, at=at, status=status, cost=usd, input_tokens=usd // 10, output_tokens=usd // 20, **more)


def amounts(usd=PRICE, **more):
    """What a call of that price asks for: each meter another figure."""
    return Amounts(usd=usd, tokens=usd // 10 + usd // 20, output_tokens=usd // 20, calls=1, **more)


def hold(call, usd=PRICE, *, accounts=("all",), caps=(), expires_at=NOW + 600, at=NOW, **more):
    """A hold of that price."""
    entry = line(call, usd, Status.ESTIMATED, at, **more)
    return Hold(entry=entry, accounts=accounts, amounts=amounts(usd), caps=caps, expires_at=expires_at)


def disk_waits(ledger, monkeypatch):
    """A list of what each transaction from now on says of waiting for the disk: `on` or `off`."""
    waits, was = [], ledger._server._once

    def once(work):
        def inside(cursor):
            with cursor.connection.transaction():
                answer = work(cursor)
                waits.append(cursor.execute("SHOW synchronous_commit").fetchone()[0])
            return answer

        return was(inside)

    monkeypatch.setattr(ledger._server, "_once", once)
    return waits


def cap(usd, account="all"):
    """A cap in nano-dollars."""
    return Cap(account, Meter.USD, usd)


def reserve(ledger: Ledger, call, usd=PRICE, **more):
    """Reserve, and say whether it was granted."""
    answer = ledger.reserve(hold(call, usd, **more), now=NOW)
    assert isinstance(answer, Reservation | Refusal)
    return isinstance(answer, Reservation)


def usd(ledger: Ledger, account="all"):
    """Settled and held nano-dollars of an account."""
    balance = ledger.balances([account])[account]
    return balance.settled.usd, balance.held.usd
