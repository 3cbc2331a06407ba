"""Windows: the stretch of time over which a limit counts, rolling or by the calendar."""

import math
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from agent_fuse.mistakes import ConfigurationError, near

CALENDAR = ("hour", "day", "week", "month")
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_MEANT = {"daily": "day", "minute": "1m", "second": "1s", "1w": "7d", "year": "366d"}
"""What has no name here, or another."""
_LENGTH = re.compile(r"([1-9]\d{0,8})([smhd])")
_LONGEST = 366 * 86_400
_BUCKETS = 60
_HALF_HOUR = 1_800


@dataclass(frozen=True, slots=True)
class Rolling:
    """The last `seconds`, whenever one asks: in every interval of that length the cap holds.

    Counted in buckets of a sixtieth. One leaves when its end is older than the window, so that at most a sixtieth more
    is remembered than must be, and never less.
    """

    seconds: int

    def __str__(self) -> str:
        unit = max((unit for unit, size in _UNITS.items() if self.seconds % size == 0), key=lambda one: _UNITS[one])
        return f"{self.seconds // _UNITS[unit]}{unit}"

    @property
    def words(self) -> str:
        """After a limit: `in any 15m`."""
        return f"in any {self}"

    def interval(self, now: float) -> str:
        """The bucket of a moment, as it stands in the names of accounts: they sort by time."""
        return f"{self._bucket(now):012d}"

    def oldest(self, now: float) -> str:
        """The first bucket that still counts."""
        return f"{max(self._bucket(now) - _BUCKETS, 0):012d}"

    def leaves(self, interval: str) -> float:
        """When a bucket no longer counts, seconds, UTC epoch."""
        return (int(interval) + _BUCKETS + 1) * self.seconds / _BUCKETS

    def ends(self, now: float) -> float:
        """When the bucket of a moment ends, seconds, UTC epoch."""
        return (self._bucket(now) + 1) * self.seconds / _BUCKETS

    def _bucket(self, now: float) -> int:
        return math.floor(now * _BUCKETS / self.seconds)


@dataclass(frozen=True, slots=True)
class Calendar:
    """An hour, day, week (from Monday) or month of one time zone, from its first moment to before the next one's."""

    unit: str
    zone: ZoneInfo

    def __str__(self) -> str:
        return self.unit if self.zone.key == "UTC" else f"{self.unit}:{self.zone.key}"

    @property
    def words(self) -> str:
        """After a limit: `a month (Europe/Berlin)`."""
        zone = "" if self.zone.key == "UTC" else f" ({self.zone.key})"
        return f"{'an' if self.unit == 'hour' else 'a'} {self.unit}{zone}"

    def interval(self, now: float) -> str:
        """The interval of a moment, as it stands in the names of accounts: they sort by time."""
        if self.unit == "hour":  # by UTC: when clocks go back, one hour of the day is there twice
            return f"{datetime.fromtimestamp(self._hour(now), UTC):%Y-%m-%dT%H:%MZ}"
        return self._first_day(now).isoformat()

    def ends(self, now: float) -> float:
        """When the interval of a moment ends, seconds, UTC epoch."""
        if self.unit == "hour":
            start = end = self._hour(now)
            while self._hour(end) == start:  # where clocks move by half an hour, hours of 30 and 90 minutes are there
                end += _HALF_HOUR
            return end
        first = self._first_day(now)
        return self._midnight(_next(self.unit, first))

    def before(self, interval: str) -> str:
        """The interval before one of `interval`'s."""
        if self.unit == "hour":
            at = datetime.strptime(interval, "%Y-%m-%dT%H:%MZ").replace(tzinfo=UTC).timestamp()
            return self.interval(at - 1)
        return self.interval(self._midnight(date.fromisoformat(interval)) - 1)

    def leaves(self, interval: str) -> float:
        """When an interval is over, seconds, UTC epoch."""
        if self.unit == "hour":
            return self.ends(datetime.strptime(interval, "%Y-%m-%dT%H:%MZ").replace(tzinfo=UTC).timestamp())
        return self._midnight(_next(self.unit, date.fromisoformat(interval)))

    def _hour(self, now: float) -> float:
        """When the hour of a moment began: where clocks moved in it, it is the one that ran until then."""
        at = math.floor(now)
        start = at - (at + self._offset(at)) % 3_600
        before = self._offset(start)
        if before == self._offset(at):
            return start
        first = start - (start + before) % 3_600
        second = first + 3_600
        return second if second <= at and self._offset(second) >= before else first

    def _offset(self, at: float) -> int:
        moved = datetime.fromtimestamp(at, self.zone).utcoffset()
        return int(moved.total_seconds()) if moved is not None else 0

    def _first_day(self, now: float) -> date:
        today = datetime.fromtimestamp(now, self.zone).date()
        match self.unit:
            case "week":
                return today - timedelta(days=today.weekday())
            case "month":
                return today.replace(day=1)
            case _:
                return today

    def _midnight(self, day: date) -> float:
        return datetime(day.year, day.month, day.day, tzinfo=self.zone).timestamp()


Window = Rolling | Calendar


def _next(unit: str, first: date) -> date:
    match unit:
        case "week":
            return first + timedelta(days=7)
        case "month":
            return (first + timedelta(days=31)).replace(day=1)
        case _:
            return first + timedelta(days=1)


def window(text: object, timezone: object = None) -> Window:
    """A window as users write it: `"30s"`, `"15m"`, `"24h"`, `"30d"`, or `"hour"`, `"day"`, `"week"`, `"month"`.

    Args:
        text: its length, or the calendar's unit.
        timezone: name in the IANA database, for a calendar's unit; UTC where None.

    Raises:
        ConfigurationError: it is none of them, the zone is not known, or one is given for a rolling window.
    """
    unit = text.strip().lower() if isinstance(text, str) else ""
    if _LENGTH.fullmatch(unit) and str(text).strip().endswith("M"):
        raise ConfigurationError(f"Limit window={text!r} may be minutes or months; write {unit!r}, 'month' or '30d'")
    if unit in CALENDAR:
        return Calendar(unit, _zone(timezone))
    found = _LENGTH.fullmatch(unit)
    seconds = int(found[1]) * _UNITS[found[2]] if found else 0
    if not 1 <= seconds <= _LONGEST:
        meant = _MEANT.get(unit) or near(unit, CALENDAR)
        hint = f"; did you mean {meant!r}?" if meant else ""
        raise ConfigurationError(
            f"Limit window={text!r}; it must be a length from '1s' to '366d' such as '30s', '15m', '24h', '30d', "
            f"or one of 'hour', 'day', 'week', 'month'{hint}"
        )
    if timezone is not None:
        raise ConfigurationError(
            f"Limit timezone={timezone!r} with window={text!r}; a rolling window has no time zone, "
            "only 'hour', 'day', 'week' and 'month' have"
        )
    return Rolling(seconds)


def _zone(name: object) -> ZoneInfo:
    try:
        return ZoneInfo("UTC" if name is None else name)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError, AttributeError):
        raise ConfigurationError(
            f"Limit timezone={name!r}; it must be a name of the IANA time zone database, such as 'Europe/Berlin' "
            f"(where the system has none, pip install tzdata){_meant(name)}"
        ) from None


def _meant(zone: object) -> str:
    """The zone that a misspelt one is like, or whose city it names alone, as a hint; empty where it is like none."""
    known = sorted(available_timezones()) if isinstance(zone, str) else []
    word = str(zone).strip().replace(" ", "_")
    cities = [one for one in known if one.rpartition("/")[2].lower() == word.lower()]
    meant = cities[0] if cities else near(word, known)
    return f"; did you mean {meant!r}?" if meant else ""


@lru_cache(maxsize=256)
def read(text: str) -> Window:
    """The window that `str` wrote."""
    unit, _, zone = text.partition(":")
    return window(unit, zone or None)
