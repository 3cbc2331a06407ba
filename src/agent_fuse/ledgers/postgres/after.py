"""Accounts after a hold was taken on them."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from agent_fuse.account_names import booked_on
from agent_fuse.ledgers import codec
from agent_fuse.ledgers.base import Balance


class BalancesAfter(Mapping[str, Balance]):
    """Accounts after a hold; that of everything, where no limit judged it, is summed when it is asked for."""

    def __init__(
        self, names: Sequence[str], after: Mapping[str, Sequence[int]], load: Callable[[list[str]], dict[str, Balance]]
    ) -> None:
        self._names = list(dict.fromkeys(booked_on(name)[0] for name in names))
        self._after = after
        self._load = load

    def __getitem__(self, name: str) -> Balance:
        if name not in self._names:
            raise KeyError(name)
        found = self._after.get(name)
        if found is None:
            return self._load([name])[name]
        return codec.balance((*found[: codec.SINCE], (found[codec.SINCE] or 0) / 1e6))

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
