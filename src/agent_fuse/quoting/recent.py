"""A bounded memory: what was looked up lately is kept, what was not is forgotten."""

from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """A mapping of at most `2 * size` keys that forgets the ones unused for longest, in two generations.

    New and re-read keys go into the young generation; when that is full it becomes the old one, and what nobody asked
    for since is dropped. Reading takes no lock: a race between threads can only forget a key early, never mix two up.
    """

    __slots__ = ("_old", "_size", "_young")

    def __init__(self, size: int) -> None:
        self._size = max(size, 1)
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}

    def get(self, key: K) -> V | None:
        """What is kept under the key, or None."""
        value = self._young.get(key)
        if value is None:
            value = self._old.get(key)
            if value is not None:
                self.put(key, value)
        return value

    def put(self, key: K, value: V) -> None:
        """Keep a value, in place of an older one under the same key."""
        young = self._young
        young[key] = value
        if len(young) >= self._size:
            self._old, self._young = young, {}

    def drop(self, key: K) -> None:
        """Forget a key."""
        self._young.pop(key, None)
        self._old.pop(key, None)

    def __len__(self) -> int:
        return len(self._young.keys() | self._old.keys())
