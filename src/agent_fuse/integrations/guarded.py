"""What makes an SDK's client a guarded one: with the first of them, the request gate stands and a fuse is at work."""

from collections.abc import Iterable
from typing import Any, Self

from agent_fuse import api
from agent_fuse.errors import ConfigurationError
from agent_fuse.mistakes import arguments_of, misspelt, takes_any
from agent_fuse.options import OPTIONS
from agent_fuse.otel import instrumentor


class Guarded:
    """Mixed in behind the SDK's own client, whose every method, signature and type stay as they are."""

    _agent_fuse_sdk: str

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """A client whose requests are judged and booked; what its arguments say is the SDK's own affair.

        Raises:
            ConfigurationError: a misspelt argument, a bad AGENTFUSE_* option, or a version of the SDK that cannot be
                gated.
            SentinelSystemError: the ledger cannot be opened and fail_safe=True.
        """
        del args
        if not takes_any(cls.__init__):
            _check(cls, kwargs)
        api.current()
        instrumentor.instrument()
        problem = instrumentor.problems.get(cls._agent_fuse_sdk)
        if problem is not None:
            raise ConfigurationError(f"{cls.__name__} cannot guard: {problem}; use a version of it that is supported")
        return super().__new__(cls)


def _check(client: type[Guarded], given: Iterable[str]) -> None:
    """Raises ConfigurationError: a word that the client does not take."""
    known = arguments_of(client.__init__)
    for word in given:
        if word in known:
            continue
        if any(word == one.name for one in OPTIONS):
            raise ConfigurationError(f"{word} is no argument of {client.__name__}; give it to agent_fuse.init()")
        raise misspelt(word, f"argument of {client.__name__}", known)
