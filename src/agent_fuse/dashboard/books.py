"""The ledger as the dashboard reads it: one reader, in a thread of its own, opened again after it failed."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from agent_fuse.ledgers.base import LedgerError
from agent_fuse.ledgers.reading import Reader, open_reader

T = TypeVar("T")


class Books:
    """Answers one question at a time: no transaction stays open between two, and no call ever waits for one."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="agent-fuse-dashboard")
        self._reader: Reader | None = None
        self.took = 0.0
        """Seconds that the last question took."""

    async def ask(self, question: Callable[[Reader], T]) -> T:
        """What a question comes to. Raises LedgerError, ConfigurationError."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._asked, question)

    def close(self) -> None:
        """Close the reader when the question that is under way is answered."""
        self._pool.submit(self._drop)
        self._pool.shutdown()

    def _asked(self, question: Callable[[Reader], T]) -> T:
        began = time.perf_counter()
        try:
            if self._reader is not None and self._reader.gone():
                self._drop()
            if self._reader is None:
                self._reader = open_reader(self._url)
            return question(self._reader)
        except LedgerError:
            self._drop()
            raise
        finally:
            self.took = time.perf_counter() - began

    def _drop(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            with contextlib.suppress(LedgerError):
                reader.close()
