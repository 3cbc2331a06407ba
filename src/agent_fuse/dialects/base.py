"""A dialect: the table that says where one instrumentation puts each fact about a call, and how to read it."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Protocol, cast

from agent_fuse.calls import Usage
from agent_fuse.sightings import Layer, Outcome
from agent_fuse.wire import count


class Kind(Enum):
    """What a span stands for."""

    MODEL = auto()
    TOOL = auto()
    AGENT = auto()
    """It costs nothing itself; calls inside take its agent and session."""


class Fact(Enum):
    """What can be known of a call from a span's attributes."""

    OPERATION = auto()
    PROVIDER = auto()
    MODEL = auto()
    RESPONSE_MODEL = auto()
    MAX_TOKENS = auto()
    PROMPT = auto()
    BODY = auto()
    """The whole request as JSON."""
    SESSION = auto()
    AGENT = auto()
    TOOL = auto()
    ARGUMENTS = auto()
    RESULT = auto()
    RESPONSE_ID = auto()
    ERROR = auto()
    INPUT = auto()
    OUTPUT = auto()
    TOTAL = auto()
    CACHE_READ = auto()
    CACHE_WRITE = auto()
    REASONING = auto()


MODEL_OPERATIONS = frozenset({"chat", "text_completion", "embeddings", "generate_content"})
"""Values of `gen_ai.operation.name` that are priced (OpenTelemetry GenAI semantic conventions)."""

AGENT_OPERATIONS = frozenset({"invoke_agent", "create_agent", "invoke_workflow"})

FREE_ERRORS = frozenset(
    {
        "APIConnectionError", "APIStatusError", "AuthenticationError", "BadRequestError", "ConflictError",
        "ConnectError", "ConnectTimeout", "InternalServerError", "NotFoundError", "OverloadedError",
        "PermissionDeniedError", "RateLimitError", "RequestTooLargeError", "ServiceUnavailableError",
        "UnprocessableEntityError", "DeadlineExceededError",
        "SentinelBudgetExceeded", "SentinelLoopError", "SentinelSystemError",
    }
)  # fmt: skip
"""Class names of errors after which nothing was charged: the request did not arrive, or was answered with an error."""


class SpanLike(Protocol):
    """What a dialect reads of a span; both live and ended SDK spans have it."""

    @property
    def name(self) -> str: ...
    @property
    def attributes(self) -> Mapping[str, Any] | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """What a span says when it starts."""

    kind: Kind
    operation: str = ""
    provider: str = ""
    model: str = ""
    max_tokens: int | None = None
    prompt: str | None = None
    body: Mapping[str, Any] | None = None
    session: str = ""
    agent: str = ""
    tool: str = ""
    arguments: object = None
    late: bool = False
    """The span was made after the work: account, never raise."""
    gate_follows: bool = False
    """The call goes through the openai or anthropic SDK, whose request gate is more exact."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What a span says when it has ended."""

    outcome: Outcome = Outcome.DONE
    usage: Usage | None = None
    model: str = ""
    provider: str = ""
    response_id: str = ""
    session: str = ""
    agent: str = ""
    tool: str = ""
    arguments: object = None
    result: object = None
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dialect:
    """One instrumentation's table. Rows left out mean that it never tells."""

    name: str
    scopes: tuple[str, ...]
    """Instrumentation scope names; a trailing `*` matches by prefix."""
    layer: Layer = Layer.CLIENT
    keys: Mapping[Fact, tuple[str, ...]]
    """Attribute names of each fact, the best first."""
    kinds: Mapping[str, Kind] = field(default_factory=dict[str, Kind])
    """Span kind by the value of `kind_key`, or by operation."""
    kind_key: str = "gen_ai.operation.name"
    kind_of_name: Callable[[str], tuple[Kind, str] | None] | None = None
    """Kind and operation (or tool) read off the span's name, for spans that start without attributes."""
    late_names: frozenset[str] = frozenset()
    """Names of spans that are made after the response."""
    late_facts: frozenset[Fact] = frozenset()
    """Facts that arrive after the span's start but before the work: they are watched for."""
    gate_follows: Callable[[str], bool] | None = None
    """Whether a span of this name goes through the openai or anthropic SDK."""
    detached: bool = False
    """Its span is not the current one while the work is done."""
    swallows: bool = False
    """It swallows an Exception raised when its span starts (a BaseException passes)."""
    cached_inside: bool = True
    """Input tokens include the cached ones."""
    reasoning_inside: bool = True
    """Output tokens include reasoning."""
    arguments_of: Callable[[object], object] | None = None
    """Unwraps tool arguments from what the attribute holds."""
    mend: Callable[["Ending", Mapping[str, Any]], "Ending"] | None = None
    """Corrects a quirk of this instrumentation that no row can say."""

    def start(self, span: SpanLike) -> Spot | None:
        """Read a span that starts; None when it is neither a call nor around one."""
        attributes = span.attributes or {}
        found = self._kind(span.name, attributes)
        if found is None:
            return None
        kind, word = found
        body = self.text(attributes, Fact.BODY)
        return Spot(
            kind=kind,
            operation=word if kind is Kind.MODEL else "",
            provider=self.text(attributes, Fact.PROVIDER),
            model=self.text(attributes, Fact.MODEL),
            max_tokens=self.number(attributes, Fact.MAX_TOKENS),
            prompt=self.text(attributes, Fact.PROMPT) or None,
            body=_json_object(body) if body else None,
            session=self.text(attributes, Fact.SESSION),
            agent=self.text(attributes, Fact.AGENT),
            tool=(self.text(attributes, Fact.TOOL) or word) if kind is Kind.TOOL else "",
            arguments=self.arguments(attributes),
            late=span.name in self.late_names,
            gate_follows=self.gate_follows is not None and self.gate_follows(span.name),
        )

    def end(self, span: SpanLike, *, failed: bool, error: str = "") -> Ending:
        """Read an ended span. `failed` is its status, `error` the class of an exception event where there is one."""
        attributes = span.attributes or {}
        usage = self.usage(attributes)
        error = self.text(attributes, Fact.ERROR) or error
        ending = Ending(
            outcome=_outcome(usage, failed, error, self.text(attributes, Fact.RESPONSE_ID)),
            usage=usage,
            model=self.text(attributes, Fact.MODEL) or self.text(attributes, Fact.RESPONSE_MODEL),
            provider=self.text(attributes, Fact.PROVIDER),
            response_id=self.text(attributes, Fact.RESPONSE_ID),
            session=self.text(attributes, Fact.SESSION),
            agent=self.text(attributes, Fact.AGENT),
            tool=self.text(attributes, Fact.TOOL),
            arguments=self.arguments(attributes),
            result=next((attributes[key] for key in self.keys.get(Fact.RESULT, ()) if key in attributes), None),
            error=error,
        )
        return self.mend(ending, attributes) if self.mend is not None else ending

    def usage(self, attributes: Mapping[str, Any]) -> Usage | None:
        """Token figures, made inclusive; None when there are none."""
        given, made = self.number(attributes, Fact.INPUT), self.number(attributes, Fact.OUTPUT)
        if given is None and made is None:
            return None
        read, written = self.number(attributes, Fact.CACHE_READ), self.number(attributes, Fact.CACHE_WRITE)
        reasoning = self.number(attributes, Fact.REASONING)
        if given is not None and not self.cached_inside:
            given += (read or 0) + (written or 0)
        if made is not None and not self.reasoning_inside:
            made += reasoning or 0
        return Usage(
            input_tokens=given,
            output_tokens=made,
            cache_read_tokens=read,
            cache_write_tokens=written,
            reasoning_tokens=reasoning,
        )

    def text(self, attributes: Mapping[str, Any], fact: Fact) -> str:
        """A fact as text; empty when absent or not text."""
        for key in self.keys.get(fact, ()):
            found = attributes.get(key)
            if isinstance(found, str) and found:
                return found
        return ""

    def number(self, attributes: Mapping[str, Any], fact: Fact) -> int | None:
        """A fact as a token count; None when absent, negative or absurd."""
        for key in self.keys.get(fact, ()):
            found = count(attributes.get(key))
            if found is not None:
                return found
        return None

    def arguments(self, attributes: Mapping[str, Any]) -> object:
        """Tool arguments as told, unwrapped; None when absent."""
        for key in self.keys.get(Fact.ARGUMENTS, ()):
            if key in attributes:
                found = attributes[key]
                return self.arguments_of(found) if self.arguments_of is not None else found
        return None

    def keys_of(self, fact: Fact) -> frozenset[str]:
        """Attribute names of one fact."""
        return frozenset(self.keys.get(fact, ()))

    def watched(self) -> frozenset[str]:
        """Attribute names of the facts that come late."""
        return frozenset(key for fact in self.late_facts for key in self.keys.get(fact, ()))

    def _kind(self, name: str, attributes: Mapping[str, Any]) -> tuple[Kind, str] | None:
        word = attributes.get(self.kind_key)
        if isinstance(word, str):
            kind = self.kinds.get(word)
            if kind is not None:
                return kind, self.text(attributes, Fact.OPERATION) or word
        return self.kind_of_name(name) if self.kind_of_name is not None else None


def _outcome(usage: Usage | None, failed: bool, error: str, response_id: str) -> Outcome:
    if usage is not None or not (failed or error):
        return Outcome.DONE
    if error.rpartition(".")[2] in FREE_ERRORS or error.isdigit():
        return Outcome.FAILED
    # An error of the host's own code before anything was sent names no response; a timeout or a cancel may have cost.
    waited = any(word in error for word in ("Timeout", "Cancel", "GeneratorExit", "Abandon", "Interrupt"))
    return Outcome.BROKEN if response_id or waited or not error else Outcome.FAILED


def _json_object(text: str) -> Mapping[str, Any] | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return cast("Mapping[str, Any]", found) if isinstance(found, dict) else None
