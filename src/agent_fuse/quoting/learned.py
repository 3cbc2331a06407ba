"""What earlier calls teach about the next: a session's last input and output, a model's true tokens per counted one."""

from dataclasses import dataclass
from typing import TypeVar

from agent_fuse.calls import MAX_TOKENS, Usage
from agent_fuse.quoting.names import stem
from agent_fuse.quoting.rates import Rates
from agent_fuse.quoting.recent import Recent

_K = TypeVar("_K")
_DECAY = 0.75
"""How much of what was known stays at each new call."""
_KNOWN_RANGE, _RECKONED_RANGE = (0.8, 1.25), (0.25, 4.0)
"""How far calls may correct a count by the model's own vocabulary, and one reckoned from bytes."""


@dataclass(frozen=True, slots=True)
class Last:
    """The last calls of one session to one model."""

    input_tokens: int
    output_tokens: int
    high_output: float
    """Output of one choice, on the high side: up at once to a new high, down by a quarter of the way at each call."""
    unseen_input: float
    """Input beyond what a count may be off by, which the provider adds itself (a stored prompt); also the high side."""
    rates: Rates | None


@dataclass(frozen=True, slots=True)
class _Sums:
    real: float
    reckoned: float


class Learned:
    """Running knowledge, bounded and forgetful; nothing of any text is kept.

    Takes no lock, so that neither a thread nor a fork waits for one: calls to a model that end at the same instant may
    lose a sample, never more.
    """

    def __init__(self, *, sessions: int = 4_096, models: int = 1_024) -> None:
        self._last: Recent[tuple[str, str], Last] = Recent(sessions)
        self._bias: Recent[tuple[str, bool], _Sums] = Recent(models)
        self._density: Recent[str, _Sums] = Recent(models)

    def last(self, session: str, model: str | None) -> Last | None:
        """The last call of a session to a model; to any model where it is not known yet."""
        return self._last.get((session, stem(model or "")))

    def corrected(self, model: str | None, tokens: int, *, exact: bool, session: str) -> int:
        """A count times what the model's calls really used per counted token, over the last ones, by their size.

        With it comes what was added to the session's last calls without being seen.
        """
        name = stem(model or "")
        sums = self._bias.get((name, exact))
        if sums is None:
            return tokens
        low, high = _KNOWN_RANGE if exact else _RECKONED_RANGE
        last = self._last.get((session, name))
        unseen = 0.0 if last is None else last.unseen_input
        return round(tokens * min(max(sums.real / sums.reckoned, low), high) + unseen)

    def from_bytes(self, model: str | None, body_bytes: int) -> int | None:
        """Input tokens of a body of this size, by what the model's last ones really held per byte; None: not known."""
        sums = self._density.get(stem(model or ""))
        return None if sums is None else min(round(body_bytes * sums.real / sums.reckoned), body_bytes)

    def learn(
        self,
        session: str,
        model: str | None,
        usage: Usage,
        *,
        counted: int | None,
        exact: bool,
        choices: int,
        body_bytes: int | None,
        rates: Rates | None,
    ) -> None:
        """Take in the real usage of a call. `counted`: its text as counted, None where it teaches nothing."""
        used, made = usage.input_tokens, usage.output_tokens
        if (used or 0) > MAX_TOKENS or (made or 0) > MAX_TOKENS:
            return  # absurd: it teaches nothing
        name = stem(model or "")
        unseen: float | None = None
        if used and counted:
            self._add(self._bias, (name, exact), used, counted)
            unseen = self._unseen(used, counted, exact=exact, rates=rates)
        if used and body_bytes and body_bytes > 0:
            self._add(self._density, name, used, body_bytes)
        for key in {(session, name), (session, "")} if made else {(session, name)}:
            before = self._last.get(key)
            one = (made or 0) / max(choices, 1)
            high = one if before is None else _high_side(before.high_output, one)
            if made is None:
                high = before.high_output if before else 0.0
            kept = before or Last(0, 0, 0.0, 0.0, None)
            self._last.put(
                key,
                Last(
                    kept.input_tokens if used is None else used,
                    kept.output_tokens if made is None else made,
                    high,
                    kept.unseen_input if unseen is None else _high_side(kept.unseen_input, unseen),
                    rates or kept.rates,
                ),
            )

    @staticmethod
    def _unseen(used: int, counted: int, *, exact: bool, rates: Rates | None) -> float:
        """Input that no error of a count explains. More than the model can hold is nonsense, and teaches nothing."""
        window = rates.context_window if rates is not None else None
        if window is not None and used > window:
            return 0.0
        return max(used - counted * (_KNOWN_RANGE if exact else _RECKONED_RANGE)[1], 0.0)

    @staticmethod
    def _add(memory: Recent[_K, _Sums], key: _K, real: int, reckoned: int) -> None:
        before = memory.get(key)
        if before is None:
            memory.put(key, _Sums(real, reckoned))
        else:
            memory.put(key, _Sums(before.real * _DECAY + real, before.reckoned * _DECAY + reckoned))


def _high_side(before: float, now: float) -> float:
    """Up at once to a new high, down by a quarter of the way."""
    return max(now, before * _DECAY + now * (1 - _DECAY))
