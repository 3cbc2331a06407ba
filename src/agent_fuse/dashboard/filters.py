"""What of a ledger is looked at: some sessions, agents, models, users or limits. `*` and `?` match any text."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatchcase

from agent_fuse.account_names import key_of
from agent_fuse.calls import NOT_BOOKED, Entry, RefusedBy
from agent_fuse.ledgers.base import Hold
from agent_fuse.ledgers.reading import Selection
from agent_fuse.views.limit_status import LimitStatus, refuser


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """One filter; an empty text asks for nothing, and all that are given must hold."""

    session: str = ""
    agent: str = ""
    model: str = ""
    user: str = ""
    """Of calls `Entry.user_id`; of limits, open calls and refusals the value of any key with `user` in its name too."""
    limit: str = ""
    """Words of a limit and whose it is: `*per user.id ann*`."""

    @classmethod
    def of(cls, asked: Mapping[str, str]) -> "Filter":
        """From the parameters of a URL; others are left alone."""
        return cls(**{one.name: asked.get(one.name, "").strip()[:200] for one in fields(cls)})

    @property
    def selection(self) -> Selection:
        """The journal lines that it asks for."""
        return replace(self._of_all, user=self.user or None)

    @property
    def refusals(self) -> Selection:
        """The refused calls, of which `refusal` picks: a limit per another key may tell a user too."""
        return replace(self._of_all, statuses=NOT_BOOKED)

    @property
    def _of_all(self) -> Selection:
        return Selection(session=self.session or None, agent=self.agent or None, model=self.model or None)

    def standing(self, one: LimitStatus) -> bool:
        """Whether a limit's account is asked for: those of another key than the one that is asked about are too."""
        asked = {"session": self.session, "agent": self.agent, "model": self.model}
        asked |= {one.cap.per: self.user} if "user" in one.cap.per else {}
        return _fits(one.value, asked.get(one.cap.per, "")) and _fits(f"{one.words} per {one.whose}", self.limit)

    def hold(self, one: Hold) -> bool:
        """Whether an open call is asked for."""
        call, pairs = one.entry, [("user", one.entry.user_id), *map(key_of, one.accounts)]
        return (
            _fits(call.session, self.session)
            and _fits(call.agent, self.agent)
            and _fits(call.model, self.model)
            and _any(pairs, self.user)
            and not self.limit
        )

    def refusal(self, one: Entry) -> bool:
        """Whether a refused call, one of the `refusals`, is asked for."""
        by = one.refused_by or RefusedBy()
        whose = [("user", one.user_id), (by.per, by.value)]
        return _any(whose, self.user) and _fits(refuser(by), self.limit)


def _any(pairs: Iterable[tuple[str, str]], user: str) -> bool:
    return not user or any("user" in key and fnmatchcase(value, user) for key, value in pairs)


def _fits(text: str, pattern: str) -> bool:
    return not pattern or fnmatchcase(text, pattern)
