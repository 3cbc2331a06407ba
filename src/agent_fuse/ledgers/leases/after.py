"""Accounts after a call was taken from a slice."""

from collections.abc import Iterator, Mapping, Sequence

from agent_fuse.ledgers.base import Balance
from agent_fuse.ledgers.leases.slice import Slice


class BalancesOfSlice(Mapping[str, Balance]):
    """As they stand as far as this process knows; most are asked for few of them."""

    def __init__(self, names: Sequence[str], of: Slice) -> None:
        self._names = names
        self._of = of

    def __getitem__(self, name: str) -> Balance:
        if name not in self._names:
            raise KeyError(name)
        return self._of.balance(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
