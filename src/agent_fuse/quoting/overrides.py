"""Prices of the user's own: a model's name or a pattern, to a price or to the model that it is another name of."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from agent_fuse.errors import ConfigurationError
from agent_fuse.quoting.names import spellings
from agent_fuse.quoting.rates import Price

Own = Price | str
"""A price, or an alias: the name of the model whose price it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The entry that applies to a model."""

    key: str
    """As it was written: a name, or a pattern."""
    value: Own
    pattern: bool


class Overrides:
    """The entries, looked up: the exact name first, then the longest pattern that fits. Case does not matter.

    A name stands alone or behind a provider, `provider/model`. In a pattern `*` is any text and `?` any one sign.

    Args:
        given: by name or pattern.
        where: how an error names an entry.

    Raises:
        ConfigurationError: an entry is neither price nor alias, is there twice, or is an alias of an alias.
    """

    def __init__(self, given: Mapping[str, Own], where: Callable[[str], str] = "the price of {!r}".format) -> None:
        self._where = where
        self._exact: dict[str, Found] = {}
        patterns: dict[str, Found] = {}
        for key, value in given.items():
            name = _name(key, where)
            into = patterns if is_pattern(name) else self._exact
            if name in into:
                raise ConfigurationError(f"{where(key)} is given twice, also as {into[name].key!r}; keep one of them")
            into[name] = Found(key=key, value=_value(key, value, where), pattern=is_pattern(name))
        ordered = sorted(patterns.items(), key=lambda one: (-len(one[0]), one[0]))
        self._patterns = [(_compiled(name), found) for name, found in ordered]
        self.aliased = any(isinstance(found.value, str) for found in self.all())
        for found in self.all():
            self._check_alias(found)

    def __bool__(self) -> bool:
        return bool(self._exact or self._patterns)

    def all(self) -> Iterator[Found]:
        """Every entry."""
        yield from self._exact.values()
        yield from (found for _, found in self._patterns)

    def names(self) -> list[str]:
        """The names that have a price of their own."""
        return [name for name, found in self._exact.items() if isinstance(found.value, Price)]

    def where(self, key: str) -> str:
        """How an error names this entry."""
        return self._where(key)

    def find(self, model: str, provider: str | None) -> Found | None:
        """The entry for a model as a call names it."""
        if not self:
            return None
        names = [name for host, name in spellings(model, provider) for name in _of(host, name)]
        for name in names:
            if (found := self._exact.get(name)) is not None:
                return found
        for pattern, found in self._patterns:
            if any(pattern.fullmatch(name) for name in names):
                return found
        return None

    def priced(self, model: str, provider: str | None) -> Price | None:
        """A price for the target of an alias. An alias that takes it in as a pattern does not lead it on."""
        found = self.find(model, provider)
        return found.value if found is not None and isinstance(found.value, Price) else None

    def _check_alias(self, found: Found) -> None:
        if not isinstance(found.value, str):
            return
        chain = [found.key]
        one: Found | None = found
        while one is not None and isinstance(one.value, str):
            chain.append(one.value)
            one = self._exact.get(one.value.strip().lower())
            if one is not None and one.key.lower() in {name.lower() for name in chain[:-1]}:
                circle = " → ".join(chain)
                raise ConfigurationError(f"{self._where(found.key)} goes round in a circle: {circle}; name a model")
        if len(chain) > 2:  # noqa: PLR2004 - the name and what it stands for
            raise ConfigurationError(
                f"{self._where(found.key)} is an alias of {found.value!r}, which is an alias itself; "
                f"name the model: {chain[-1]!r}"
            )


def is_pattern(name: str) -> bool:
    """Whether it stands for many names."""
    return "*" in name or "?" in name


def _of(host: str | None, name: str) -> Iterator[str]:
    if host is not None:
        yield f"{host}/{name}"
    yield name


def _name(key: object, where: Callable[[str], str]) -> str:
    if not isinstance(key, str) or not key.strip():
        raise ConfigurationError(f"{where(str(key))} has no name; write a model's name, or a pattern such as 'ft:*'")
    return key.strip().lower()


def _value(key: str, value: object, where: Callable[[str], str]) -> Own:
    if isinstance(value, Price):
        return value
    if isinstance(value, str) and value.strip() and not is_pattern(value):
        return value.strip()
    if isinstance(value, str):
        raise ConfigurationError(f"{where(key)} is {value!r}; an alias is the name of one model, such as 'gpt-4o'")
    raise ConfigurationError(
        f"{where(key)} is {value!r}; write agent_fuse.Price(input, output), or the name of the model that it is"
    )


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), re.DOTALL)
