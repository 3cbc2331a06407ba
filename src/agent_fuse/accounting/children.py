"""Which sessions ran inside which: one note in the ledger for each, for whoever looks into it from outside."""

from hashlib import blake2b

from agent_fuse.account_names import key_of
from agent_fuse.ledgers.base import Ledger, LedgerError
from agent_fuse.ledgers.readers import Reader
from agent_fuse.quoting.recent import Recent

_REMEMBERED = 10_000


class Children:
    """Notes each session inside another once. A ledger that cannot write now is asked again at its next call."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._known: Recent[str, bool] = Recent(_REMEMBERED)

    def met(self, child: str, parent: str, *, now: float) -> None:
        """A call was made on these accounts, one inside the other."""
        key = f"{_prefix(key_of(parent)[1])}{key_of(child)[1]}"
        if self._known.get(key):
            return
        try:
            self._ledger.update_note(key, lambda _: (b"{}", None), now=now)
        except LedgerError:
            return  # the call itself told of the broken ledger, loudly
        self._known.put(key, True)


def children_of(reader: Reader, session: str) -> list[str]:
    """Sessions that ran inside this one. Raises LedgerError."""
    prefix = _prefix(session)
    return [key.removeprefix(prefix) for key in reader.notes(prefix)]


def _prefix(parent: str) -> str:
    return f"inside/{blake2b(parent.encode(errors='replace'), digest_size=8).hexdigest()}/"
