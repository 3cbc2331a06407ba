"""The poster: a bounded queue, and one thread that posts what is in it and ends when nothing waits.

Whoever puts a message in never waits. What the receiver cannot take just now (no connection, 408, 429, 5xx) is tried
again, each time later; what it refuses is dropped. At the end of the process what waits is given a few seconds.
"""

import atexit
import json
import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from contextvars import Context
from http import HTTPStatus
from importlib import import_module
from urllib.error import HTTPError
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
)
from weakref import WeakSet

from agent_fuse.foreign_text import in_json, inline
from agent_fuse.ledgers import forks
from agent_fuse.locks import RLock, begin
from agent_fuse.seams import GOES_ON, fault, harmless, quietly
from agent_fuse.webhook.messages import Message, text_of
from agent_fuse.webhook_address import WebhookAddress

log = logging.getLogger("agent_fuse")

_REMEMBERED = 1_000
"""Messages that wait at most; further ones are counted, and told of with the next that is posted."""
_TRIES = 5
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
"""Seconds before the second try, twice as many before each further one, and as many as `Retry-After` says."""
_LAST_PAUSE = 0.2
"""The same once the process ends."""
_SECONDS = 10.0
"""What one read or write may take."""
_LAST_SECONDS = 5.0
"""What all that waits is given when the process ends."""
_AGAIN = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})

POSTING = "posting to the webhook"

# What a look-up of a host loads: a fork in the middle of that would leave the child half of it.
import_module("encodings.idna")


class Poster:
    """Posts messages to one address. Safe in threads and after fork: what waits stays the parent's to post.

    Args:
        suppressed: what to post inside of, so that nothing else makes a span of it.
        failed: told in words what the last failure was, and "" when it is over; it may raise nothing.
    """

    _thread: threading.Thread | None
    _deadline: float | None
    """When the process ends, time.monotonic; None while it does not."""

    def __init__(
        self,
        address: WebhookAddress,
        suppressed: Callable[[], AbstractContextManager[object]],
        failed: Callable[[str], None],
    ) -> None:
        self._address = address
        self._suppressed = suppressed
        self._failed = failed
        self._renew()
        forks.watch(self)
        _all.add(self)

    def put(self, message: Message) -> None:
        """Post it soon."""
        with self._lock:
            if len(self._queue) >= _REMEMBERED:
                self._lost += 1
                return
            self._queue.append(message)
            if self._thread is None or not self._thread.is_alive():
                self._end_with_a_worker()
                self._thread = threading.Thread(target=self._run, name="agent_fuse webhook", daemon=True)
                with suppress(RuntimeError):  # the process ends, and starts no thread any more: `flush` does its work
                    begin(self._thread)

    @harmless(POSTING, GOES_ON)
    def flush(self) -> None:
        """The process ends: see to it that what waits is tried, for some seconds at most."""
        with self._lock:
            thread, self._deadline = self._thread, time.monotonic() + _LAST_SECONDS
            self._wake.set()
        if thread is not None and thread.is_alive():
            thread.join(_LAST_SECONDS)
        if self._queue and (thread is None or not thread.is_alive()):
            Context().run(self._work)  # no thread can be started any more
        if self._queue:
            left = len(self._queue)
            log.warning("%d messages could not be posted to %s before the process ended", left, self._address)

    def before_fork(self) -> None:
        """Wait for whoever is at the queue."""
        self._resting = self._lock.acquire(timeout=_LAST_SECONDS)

    def after_fork(self, *, child: bool) -> None:
        """A child has no thread and an empty queue, so that nothing is posted twice."""
        if child:
            self._renew()
        elif self._resting:
            self._lock.release()

    def _renew(self) -> None:
        self._queue: deque[Message] = deque()
        self._lost = 0
        self._lock = RLock()  # a finaliser's trip may come from inside it
        self._wake = threading.Event()
        self._thread = None
        self._deadline = None
        self._resting = False
        self._broken = False
        self._finalized = False

    def _end_with_a_worker(self) -> None:
        """A worker of multiprocessing runs no `atexit`, but what its own module was told of."""
        util = sys.modules.get("multiprocessing.util")
        if util is not None and not self._finalized:
            self._finalized = True
            util.Finalize(None, self.flush, exitpriority=0)

    def _run(self) -> None:
        """The thread, in a context of its own: no span and no session of whoever was refused is in it."""
        try:
            Context().run(self._work)
        except Exception as error:  # noqa: BLE001  a thread of ours that nobody waits for
            fault(POSTING, error, GOES_ON)

    def _work(self) -> None:
        while not self._is_late():
            with self._lock:
                if not self._queue:
                    self._thread = None
                    return
                message, lost = self._queue[0], self._lost
            done = quietly(POSTING, "the message is dropped", self._deliver, message, lost)
            if done is False:
                return
            with self._lock:
                self._queue.popleft()
                self._lost -= lost

    def _deliver(self, message: Message, lost: int) -> bool:
        """Post one message, or give it up; False where the process ends before either."""
        if lost:
            message = {**message, "text": text_of(str(message["message"]), lost=lost), "lost": lost}
        body = in_json(json.dumps(message, ensure_ascii=False)).encode()
        pause, why = _FIRST_PAUSE, ""
        for left in reversed(range(_TRIES)):
            why, again, asked = self._post(body)
            if not why:
                if self._broken:
                    self._broken = False
                    self._failed("")
                return True
            if again and self._is_late():
                self._tell(why)
                return False
            if not again or not left:
                break
            if self._wake.wait(min(max(pause, asked), _LONGEST_PAUSE)):
                time.sleep(_LAST_PAUSE)
            pause *= 2
        self._tell(why)
        return True

    def _post(self, body: bytes) -> tuple[str, bool, float]:
        """One try: what was wrong, in words without the address, whether to try again, and after how many seconds."""
        headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "agent-fuse"}
        if self._address.authorization:
            headers["Authorization"] = self._address.authorization
        request = Request(self._address.url, body, headers, method="POST")  # noqa: S310  it was checked
        left = _SECONDS if self._deadline is None else max(self._deadline - time.monotonic(), 0.1)
        try:
            with self._suppressed(), _opener(self._address).open(request, timeout=min(left, _SECONDS)):
                return "", False, 0.0
        except HTTPError as refused:
            with refused:
                code = refused.code
                return f"HTTP {code}", code in _AGAIN or code >= HTTPStatus.INTERNAL_SERVER_ERROR, _seconds(refused)
        except Exception as error:  # noqa: BLE001  whatever keeps it from being posted, it is told in words
            return _words(error), True, 0.0

    def _is_late(self) -> bool:
        return self._deadline is not None and time.monotonic() >= self._deadline

    def _tell(self, why: str) -> None:
        if not self._broken:
            self._broken = True
            log.warning("posting to the webhook at %s failed: %s; see agent-fuse doctor", self._address, why)
        self._failed(why)


def _opener(address: WebhookAddress) -> OpenerDirector:
    """Follows no redirect: a secret goes to nobody but the host that was named."""
    opener = OpenerDirector()
    for one in (HTTPSHandler(), HTTPHandler(), HTTPErrorProcessor(), HTTPDefaultErrorHandler()):
        opener.add_handler(one)
    opener.add_handler(ProxyHandler({} if address.is_local else None))
    return opener


def _seconds(refused: HTTPError) -> float:
    said = str(refused.headers.get("Retry-After", "")) if refused.headers else ""
    return float(said) if said.isascii() and said.isdigit() else 0.0


def _words(error: Exception) -> str:
    """The kind of a failure and the system's own words for it, never the texts of a library, which may hold the URL."""
    cause: object = getattr(error, "reason", error)
    said = cause.strerror if isinstance(cause, OSError) else ""
    return inline(f"{type(cause).__name__}: {said}" if said else type(cause).__name__, 200)


_all: "WeakSet[Poster]" = WeakSet()


def _at_exit() -> None:
    for one in list(_all):
        one.flush()


atexit.register(_at_exit)
