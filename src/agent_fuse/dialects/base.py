"""A dialect: the table that says where one instrumentation puts each fact about a call, and how to read it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from agent_fuse.calls import Usage
from agent_fuse.charged import Charge
from agent_fuse.dialects.reading import Ending, Kind, SpanLike, Spot, charge_of, json_object
from agent_fuse.sightings import Layer, Outcome
from agent_fuse.usage_reader import count

__all__ = ["AGENT_OPERATIONS", "MODEL_OPERATIONS", "Dialect", "Ending", "Fact", "Kind", "Layer", "SpanLike", "Spot"]


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

Attributes = Mapping[str, Any]

STATUS_KEYS = ("http.response.status_code", "http.status_code", "error.code")


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
    operations: Mapping[str, str] = field(default_factory=dict[str, str])
    """The priced operation by the span's name, or by the value of `kind_key`, where no attribute names it."""
    model_of_name: Callable[[str], str] | None = None
    """The model read off the span's name, for spans that start without its attribute."""
    spot_of: Callable[[Attributes], Spot | None] | None = None
    """Reads a starting span in place of the rows above."""
    late_names: frozenset[str] = frozenset()
    """Names of spans that are made after the response."""
    late_kinds: bool = False
    """What a span is may only show at its end: model and tool calls missed at their start are read then."""
    late_facts: frozenset[Fact] = frozenset()
    """Facts that arrive after the span's start but before the work: they are watched for."""
    prompt_follows: Callable[[], bool] | None = None
    """Whether the prompt is the last of the late facts to come: a quote waits for it."""
    gate_follows: Callable[[str, Attributes], bool] | None = None
    """Whether a span of this name, with these attributes, goes through the openai or anthropic SDK."""
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
    mend: Callable[[Ending, Attributes], Ending] | None = None
    """Corrects a quirk of this instrumentation that no row can say."""

    def start(self, span: SpanLike) -> Spot | None:
        """Read a span that starts; None when it is neither a call nor around one."""
        attributes = dict(span.attributes or {})  # the SDK's own mapping is slow to ask for what is not there
        if self.spot_of is not None:
            return self.spot_of(attributes)
        found = self._kind(span.name, attributes)
        if found is None:
            return None
        kind, word = found
        text = self.text(attributes, Fact.BODY) if kind is Kind.MODEL else ""
        body = json_object(text) if text else None
        return Spot(
            kind=kind,
            operation=word if kind is Kind.MODEL else "",
            provider=self.text(attributes, Fact.PROVIDER),
            model=self._model(span.name, attributes, body),
            max_tokens=self.number(attributes, Fact.MAX_TOKENS),
            prompt=self.text(attributes, Fact.PROMPT) or None,
            body=body,
            session=self.text(attributes, Fact.SESSION),
            agent=self.text(attributes, Fact.AGENT),
            tool=(self.text(attributes, Fact.TOOL) or word) if kind is Kind.TOOL else "",
            arguments=self.arguments(attributes),
            late=span.name in self.late_names or (kind is Kind.MODEL and self.usage(attributes) is not None),
            gate_follows=self.gate_follows is not None and self.gate_follows(span.name, attributes),
        )

    def end(
        self,
        span: SpanLike,
        *,
        failed: bool,
        error: str = "",
        message: str = "",
        trace: str = "",
        raised: BaseException | None = None,
    ) -> Ending:
        """Read an ended span.

        Args:
            failed: its status.
            error: the class of an exception event, where there is one.
            message: the description of its status, else the exception's message.
            trace: the traceback that the exception event prints.
            raised: the error that is being handled while the span ends, where there is one.
        """
        attributes = dict(span.attributes or {})
        usage = self.usage(attributes)
        told = self.text(attributes, Fact.ERROR)
        response_id = self.text(attributes, Fact.RESPONSE_ID)
        answered = self.text(attributes, Fact.RESPONSE_MODEL)
        charge = charge_of(
            usage,
            failed=failed,
            error=told or error,
            also=error,
            message=message,
            response_id=response_id,
            status=_status(attributes),
            trace=trace,
            raised=raised,
        )
        ending = Ending(
            outcome=charge.outcome if charge is not None else Outcome.DONE,
            unsure=charge is Charge.UNKNOWN,
            usage=usage,
            model=self.text(attributes, Fact.MODEL) or answered,
            answered=answered,
            provider=self.text(attributes, Fact.PROVIDER),
            response_id=response_id,
            tool=self.text(attributes, Fact.TOOL),
            arguments=self.arguments(attributes),
            result=next((attributes[key] for key in self.keys.get(Fact.RESULT, ()) if key in attributes), None),
            error=told or error,
            message=message,
        )
        return self.mend(ending, attributes) if self.mend is not None else ending

    def usage(self, attributes: Attributes) -> Usage | None:
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

    def text(self, attributes: Attributes, fact: Fact) -> str:
        """A fact as text; empty when absent or not text."""
        for key in self.keys.get(fact, ()):
            found = attributes.get(key)
            if isinstance(found, str) and found:
                return found
        return ""

    def number(self, attributes: Attributes, fact: Fact) -> int | None:
        """A fact as a token count; None when absent, negative or absurd."""
        for key in self.keys.get(fact, ()):
            found = count(attributes.get(key))
            if found is not None:
                return found
        return None

    def arguments(self, attributes: Attributes) -> object:
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

    def _kind(self, name: str, attributes: Attributes) -> tuple[Kind, str] | None:
        word = attributes.get(self.kind_key)
        if isinstance(word, str):
            kind = self.kinds.get(word)
            if kind is not None:
                told = self.text(attributes, Fact.OPERATION)
                return kind, told or self.operations.get(name) or self.operations.get(word, word)
        return self.kind_of_name(name) if self.kind_of_name is not None else None

    def _model(self, name: str, attributes: Attributes, body: Mapping[str, Any] | None) -> str:
        told = self.text(attributes, Fact.MODEL)
        if told:
            return told
        asked = body.get("model") if body is not None else None
        if isinstance(asked, str):
            return asked
        return self.model_of_name(name) if self.model_of_name is not None else ""


def _status(attributes: Attributes) -> int | None:
    """The HTTP status that the span of a call tells, by the HTTP conventions or (LiteLLM) as its error's code."""
    for key in STATUS_KEYS:
        found = attributes.get(key)
        if isinstance(found, str) and found.isdigit():
            found = int(found)
        if type(found) is int:
            return found
    return None
