"""What makes an SDK's client a guarded one: with the first of them, the request gate stands and a fuse is at work."""

from typing import Any, Self

from agent_fuse import api
from agent_fuse.errors import ConfigurationError
from agent_fuse.otel import instrumentor


class Guarded:
    """Mixed in behind the SDK's own client, whose every method, signature and type stay as they are."""

    _agent_fuse_sdk: str

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """A client whose requests are judged and booked; the arguments are the SDK's own affair.

        Raises:
            ConfigurationError: this version of the SDK cannot be gated, or a bad AGENTFUSE_* option.
            SentinelSystemError: the ledger cannot be opened and fail_safe=True.
        """
        del args, kwargs
        api.current()
        instrumentor.instrument()
        problem = instrumentor.problems.get(cls._agent_fuse_sdk)
        if problem is not None:
            raise ConfigurationError(f"{cls.__name__} cannot guard: {problem}; use a version of it that is supported")
        return super().__new__(cls)
