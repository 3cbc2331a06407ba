"""A bounded memory: what was kept lately is there, what was not is forgotten."""

from collections import OrderedDict
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Recent(OrderedDict[K, V]):
    """A mapping of at most `size` keys, which forgets the one that was put in first; read by `get`, which is C.

    Reading takes no lock, and neither does writing: a race between threads can only forget a key early.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = max(size, 1)

    def put(self, key: K, value: V) -> None:
        """Keep a value as the newest, in place of an older one under the same key."""
        self[key] = value
        try:
            self.move_to_end(key)
            while len(self) > self._size:
                self.popitem(last=False)
        except KeyError:  # another thread forgot it meanwhile
            return

    def drop(self, key: K) -> None:
        """Forget a key."""
        self.pop(key, None)
