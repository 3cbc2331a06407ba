"""A tool action and what it brought back, as short keyed digests: enough to see a loop, nothing to read."""

import re
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from agent_fuse import foreign_text
from agent_fuse.loops.canonical import canonical
from agent_fuse.loops.effects import Effect, effect_of, searches
from agent_fuse.loops.near import asked_in, near_text
from agent_fuse.loops.weight import NOISY_FIELDS, ResultWorth, quiet, quiet_done, quiet_error, says_error, weigh

MAX_READABLE = 500
"""Characters of a readable signature."""

TOOL_BYTES = 4
"""Leading bytes of a signature's digest that depend on the tool alone."""

DIGEST_BYTES = 12
OUTCOME_BYTES = 6

_MAX_JSON = 1_000_000

_FAILED = re.compile(
    r"\s*(?:Traceback \(most recent call last\)|(?P<kind>[Ee]rror|ERROR|\w*(?:Error|Exception))\s*[:(]"
    r"|[Ee]rror (?:code|while|when|executing|calling|invoking|running|reading|fetching|processing)\b[^\n:]{0,80}:"
    r"|(?:HTTP(?:/[\d.]+)?(?: error| status(?: code)?)?[ :]*)?(?:4(?!04)|5)\d\d[ :,-]+(?i:bad (?:request|gateway)"
    r"|unauthorized|forbidden|too many requests|internal server error|service (?:temporarily )?unavailable"
    r"|(?:gateway|request) time-?out)"
    r"|(?:[Rr]equest|[Cc]onnection)\b[^\n:]{0,40}\b(?:failed|timed out|refused|reset)\b"
    r"|(?:[\w./-]+: ){1,3}(?:command not found|not found$|[Pp]ermission denied))"
)


@dataclass(frozen=True, slots=True)
class Signature:
    """One tool action: a tool with its arguments."""

    tool: str
    digest: bytes
    """Keyed hash, 12 bytes: what is stored. The first 4 depend on the tool alone."""
    readable: str
    """`tool|{"canonical": "arguments"}`, at most 500 characters: for the exception, never stored."""
    near: bytes = b""
    """Keyed hash, 12 bytes, equal for calls that ask the same but for white space, a clock time, an id or a counter."""
    words: int = 0
    """The words of a question, as a mask (see `near`)."""
    beside: bytes = bytes(DIGEST_BYTES - TOOL_BYTES)
    """Keyed hash, 8 bytes, of what is asked for beside the words."""
    effect: Effect = Effect.UNKNOWN

    @property
    def tool_digest(self) -> bytes:
        """Keyed hash of the tool's name."""
        return self.digest[:TOOL_BYTES]


@dataclass(frozen=True, slots=True)
class ToolOutcome:
    """What an action brought back."""

    digest: bytes
    """Keyed hash, 6 bytes, of the result less clock times and random ids, or of the error's class and message."""
    failed: bool = False
    weight: ResultWorth = ResultWorth.ANSWER


def signature(tool: str, args: object = None, *, ignore: Collection[str] = frozenset(), key: bytes = b"") -> Signature:
    """The signature of a tool action; the same for equal arguments in every process of one installation.

    Arguments may be of any type (see `canonical`). A JSON text, as spans carry, equals the value it stands for; None,
    an empty text and an empty container are all "no arguments". Never raises an Exception for what the arguments are.

    Args:
        tool: the tool's name.
        args: its arguments, best by name.
        ignore: names of arguments that do not matter, at any depth.
        key: the installation's secret, at most 64 bytes, so that stored digests cannot be looked up in a table.

    Raises:
        ValueError: the key is longer than 64 bytes.
    """
    plain = _arguments(args)
    text = f"{tool}|{canonical(plain, ignore=ignore)}"
    head = head_of(tool, key)
    digest = head + _digest(text, key, DIGEST_BYTES - TOOL_BYTES)
    near, words, beside, effect = digest, 0, bytes(DIGEST_BYTES - TOOL_BYTES), Effect.UNKNOWN
    with suppress(Exception):  # someone else's object may raise anything when looked at
        near = head + _digest(f"{tool}|{near_text(plain, ignore)}", key, DIGEST_BYTES - TOOL_BYTES)
        words, rest = asked_in(plain, searches=searches(tool))
        beside = _digest(near_text(rest, ignore), key, DIGEST_BYTES - TOOL_BYTES) if rest else beside
        effect = effect_of(tool, plain)
    readable = text if len(text) <= MAX_READABLE else f"{text[: MAX_READABLE - 1]}…"
    return Signature(tool, digest, readable, near, words, beside, effect)


def digest_of(tool: str, args: object) -> bytes:
    """Equal for equal tool actions, in this process: a signature's digest alone, which costs less than all of it."""
    return _digest(f"{tool}|{canonical(_arguments(args))}", b"", DIGEST_BYTES)


def result_outcome(result: object, *, key: bytes = b"") -> ToolOutcome:
    """The outcome of a call that returned. One that says it is an error (`Error: …`, `{"error": …}`) is a failure."""
    if isinstance(result, BaseException):
        return error_outcome(type(result).__qualname__, str(result), key=key)
    if isinstance(result, str) and (failed := _FAILED.match(result)):
        return error_outcome(failed["kind"] or "Traceback", _last_words(result), key=key)
    plain, weight = _arguments(result), ResultWorth.ANSWER
    with suppress(Exception):  # as above
        if says_error(plain):
            return error_outcome("error", canonical(plain, ignore=NOISY_FIELDS).replace('"', ""), key=key)
        weight = weigh(None if result is None else result if result == "" else plain)
    if weight in {ResultWorth.EMPTY, ResultWorth.BLANK}:
        return ToolOutcome(_digest("empty", key, OUTCOME_BYTES), weight=weight)
    text = canonical(plain, ignore=NOISY_FIELDS, clean=quiet_done if weight is ResultWorth.DONE else quiet)
    return ToolOutcome(_digest(text, key, OUTCOME_BYTES), weight=weight)


def error_outcome(kind: str, message: str, *, key: bytes = b"") -> ToolOutcome:
    """The outcome of an action that failed: same class and same message, less what it quotes, is the same outcome."""
    return ToolOutcome(_digest(f"{kind}|{quiet_error(message)}", key, OUTCOME_BYTES), failed=True)


def _arguments(args: Any) -> Any:
    if isinstance(args, str):
        args = args.strip()
        if args[:1] in {"{", "["} and len(args) <= _MAX_JSON:
            try:
                args = foreign_text.read_json(args)
            except ValueError:
                return args
    if args is None or (type(args) in {str, dict, list, tuple} and not args):
        return {}
    return args


def _last_words(text: str) -> str:
    """A traceback says what went wrong at its end; any other error at its start."""
    return text.rstrip().rpartition("\n")[2] if text.lstrip().startswith("Traceback") else text


def _digest(text: str, key: bytes, size: int) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=size, key=key).digest()


@lru_cache(maxsize=256)
def head_of(tool: str, key: bytes) -> bytes:
    """What the digests of all calls of a tool begin with."""
    return _digest(tool, key, TOOL_BYTES)
