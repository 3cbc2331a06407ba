"""Accounts after a hold was taken on them."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from agent_fuse.account_names import ALL, booked_on
from agent_fuse.ledgers import codec
from agent_fuse.ledgers.base import Balance


class After(Mapping[str, Balance]):
    """Accounts after a hold; that of everything is in several rows, and summed when it is asked for."""

    def __init__(
        self, names: Sequence[str], after: Sequence[codec.Row], load: Callable[[list[str]], dict[str, Balance]]
    ) -> None:
        self._names = list(dict.fromkeys(booked_on(name)[0] for name in names))
        self._after = {row[0]: row[1:] for row in after}
        self._load = load

    def __getitem__(self, name: str) -> Balance:
        if name not in self._names:
            raise KeyError(name)
        if name == ALL or name not in self._after:
            return self._load([name])[name]
        return codec.balance(self._after[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
