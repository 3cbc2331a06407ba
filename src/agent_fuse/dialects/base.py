"""A dialect: the table that says where one instrumentation puts each fact about a call, and how to read it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, cast

from agent_fuse.calls import MAX_TOKENS, Usage, count, usage_of
from agent_fuse.charged import FailureCost
from agent_fuse.dialects import reading
from agent_fuse.dialects.reading import Ending, SpanLike, SpanRole, Spot, charge_of, json_object
from agent_fuse.sightings import Layer, Outcome

__all__ = [
    "AGENT_OPERATIONS",
    "MODEL_OPERATIONS",
    "Dialect",
    "Ending",
    "Field",
    "Layer",
    "SpanLike",
    "SpanRole",
    "Spot",
]


class Field(Enum):
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


Attributes = Mapping[str, Any]

Rows = tuple[tuple[str, type, tuple[str, ...]], ...]
"""For each fact its field in Told, its type (`str`: a text that is not empty; `int`: a token count), and its names."""


class SpanFacts:
    """Facts that attributes tell: empty, or None for what is no text, where they do not."""

    operation = provider = model = response_model = prompt = session = agent = tool = response_id = error = ""
    arguments: object = None
    result: object = None
    max_tokens: int | None = None
    input: int | None = None
    output: int | None = None
    total: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None


MODEL_OPERATIONS = frozenset({"chat", "text_completion", "embeddings", "generate_content"})
"""Values of `gen_ai.operation.name` that are priced (OpenTelemetry GenAI semantic conventions)."""

AGENT_OPERATIONS = frozenset({"invoke_agent", "create_agent", "invoke_workflow"})

_OF_USAGE = (Field.INPUT, Field.OUTPUT, Field.TOTAL, Field.CACHE_READ, Field.CACHE_WRITE, Field.REASONING)
_COUNTS = (Field.MAX_TOKENS, *_OF_USAGE)
_WANTED: Mapping[Field, type] = {**dict.fromkeys(_COUNTS, int), Field.ARGUMENTS: object, Field.RESULT: object}
"""The type of each fact that is no text."""

_OF_START = (
    Field.OPERATION, Field.PROVIDER, Field.MODEL, Field.MAX_TOKENS,
    Field.PROMPT, Field.SESSION, Field.AGENT, Field.TOOL,
    Field.INPUT, Field.OUTPUT,
)  # fmt: skip
_OF_END = (
    Field.MODEL, Field.RESPONSE_MODEL, Field.PROVIDER, Field.RESPONSE_ID, Field.TOOL, Field.ARGUMENTS, Field.RESULT,
    Field.ERROR, *_OF_USAGE,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dialect:
    """One instrumentation's table. Rows left out mean that it never tells."""

    name: str
    scopes: tuple[str, ...]
    """Instrumentation scope names; a trailing `*` matches by prefix."""
    layer: Layer = Layer.CLIENT
    keys: Mapping[Field, tuple[str, ...]]
    """Attribute names of each fact, the best first."""
    kinds: Mapping[str, SpanRole] = field(default_factory=dict[str, SpanRole])
    """Span kind by the value of `kind_key`, or by operation."""
    kind_key: str = "gen_ai.operation.name"
    kind_of_name: Callable[[str], tuple[SpanRole, str] | None] | None = None
    """SpanRole and operation (or tool) read off the span's name, for spans that start without attributes."""
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
    late_facts: frozenset[Field] = frozenset()
    """Facts that arrive after the span's start but before the work: they are watched for."""
    prompt_follows: Callable[[], bool] | None = None
    """Whether the prompt is the last of the late facts to come: a quote waits for it."""
    gate_follows: Callable[[str, Attributes], bool] | bool = False
    """Whether a span of this name, with these attributes, goes through the openai or anthropic SDK; True: each does."""
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
    start_rows: Rows = field(init=False, repr=False)
    end_rows: Rows = field(init=False, repr=False)
    owner_rows: Rows = field(init=False, repr=False)
    """Of the session and the agent."""

    def __post_init__(self) -> None:
        for rows, facts in (("start", _OF_START), ("end", _OF_END), ("owner", (Field.SESSION, Field.AGENT))):
            object.__setattr__(self, f"{rows}_rows", self._rows(facts))

    def start(self, span: SpanLike) -> Spot | None:
        """Read a span that starts; None when it is neither a call nor around one."""
        attributes = attributes_of(span)
        if self.spot_of is not None:
            return self.spot_of(attributes)
        kind, word, named = self._kind(span.name, attributes.get(self.kind_key))
        if kind is None:
            return None
        told = read(attributes, self.start_rows)
        if not named:
            word = told.operation or self.operations.get(span.name) or self.operations.get(word, word)
        follows = self.gate_follows
        text = self.text(attributes, Field.BODY) if kind is SpanRole.MODEL and Field.BODY in self.keys else ""
        body = json_object(text) if text else None
        return Spot(
            kind=kind,
            operation=word if kind is SpanRole.MODEL else "",
            provider=told.provider,
            model=told.model or self._model(span.name, body),
            max_tokens=told.max_tokens,
            prompt=told.prompt or None,
            body=body,
            session=told.session,
            agent=told.agent if told.agent and not reading.tells_workflow(attributes, told.agent) else "",
            tool=(told.tool or word) if kind is SpanRole.TOOL else "",
            arguments=self.arguments(attributes) if kind is SpanRole.TOOL else None,
            late=span.name in self.late_names
            or (kind is SpanRole.MODEL and not (told.input is None and told.output is None)),
            gate_follows=follows(span.name, attributes) if callable(follows) else bool(follows),
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
        attributes = attributes_of(span)
        told = read(attributes, self.end_rows)
        usage = self._usage(told)
        charge = None
        if usage is None:
            charge = charge_of(
                usage,
                failed=failed,
                error=told.error or error,
                also=error,
                message=message,
                response_id=told.response_id,
                status=reading.status_of(attributes),
                trace=trace,
                raised=raised,
            )
        arguments = told.arguments
        ending = Ending(
            outcome=charge.outcome if charge is not None else Outcome.DONE,
            unsure=charge is FailureCost.UNKNOWN,
            usage=usage,
            model=told.model or told.response_model,
            answered=told.response_model,
            provider=told.provider,
            response_id=told.response_id,
            tool=told.tool,
            arguments=self.arguments_of(arguments) if arguments is not None and self.arguments_of else arguments,
            result=told.result,
            error=told.error or error,
            message=message,
        )
        return self.mend(ending, attributes) if self.mend is not None else ending

    def owner(self, span: SpanLike) -> tuple[str, str]:
        """The session and the agent that a live span has told by now; empty where it has not."""
        attributes = attributes_of(span)
        said = read(attributes, self.owner_rows)
        return said.session, said.agent if said.agent and not reading.tells_workflow(attributes, said.agent) else ""

    def usage(self, attributes: Attributes) -> Usage | None:
        """Token figures, made inclusive; None when there are none."""
        return self._usage(read(attributes, self.end_rows))

    def _usage(self, told: SpanFacts) -> Usage | None:
        given, made = told.input, told.output
        if given is None and made is None:
            return None
        if given is not None and not self.cached_inside:
            given += (told.cache_read or 0) + (told.cache_write or 0)
        if made is not None and not self.reasoning_inside:
            made += told.reasoning or 0
        if given is not None and told.total is not None and told.total >= given + (made or 0):
            made = told.total - given  # thinking, which many tell in the total alone; of an embedding, nothing
        return usage_of(
            {
                "input_tokens": given,
                "output_tokens": made,
                "cache_read_tokens": told.cache_read,
                "cache_write_tokens": told.cache_write,
                "reasoning_tokens": told.reasoning,
            }
        )

    def text(self, attributes: Attributes, fact: Field) -> str:
        """A fact as text; empty when absent or not text."""
        for key in self.keys.get(fact, ()):
            found = attributes.get(key)
            if isinstance(found, str) and found:
                return found
        return ""

    def number(self, attributes: Attributes, fact: Field) -> int | None:
        """A fact as a token count; None when absent, negative or absurd."""
        for key in self.keys.get(fact, ()):
            found = count(attributes.get(key))
            if found is not None:
                return found
        return None

    def arguments(self, attributes: Attributes) -> object:
        """Tool arguments as told, unwrapped; None when absent."""
        for key in self.keys.get(Field.ARGUMENTS, ()):
            if key in attributes:
                found = attributes[key]
                return self.arguments_of(found) if self.arguments_of is not None else found
        return None

    def keys_of(self, fact: Field) -> frozenset[str]:
        """Attribute names of one fact."""
        return frozenset(self.keys.get(fact, ()))

    def watched(self) -> frozenset[str]:
        """Attribute names of the facts that come late."""
        return frozenset(key for fact in self.late_facts for key in self.keys.get(fact, ()))

    def _rows(self, facts: Iterable[Field]) -> Rows:
        return tuple((one.name.lower(), _WANTED.get(one, str), keys) for one in facts if (keys := self.keys.get(one)))

    def _kind(self, name: str, said: object) -> tuple[SpanRole | None, str, bool]:
        """What a span stands for, the word that says so, and whether its name did."""
        kind = self.kinds.get(said) if isinstance(said, str) else None
        if kind is not None:
            return kind, str(said), False
        found = self.kind_of_name(name) if self.kind_of_name is not None else None
        return (*found, True) if found is not None else (None, "", False)

    def _model(self, name: str, body: Mapping[str, Any] | None) -> str:
        asked = body.get("model") if body is not None else None
        if isinstance(asked, str):
            return asked
        return self.model_of_name(name) if self.model_of_name is not None else ""


def attributes_of(told: Any) -> dict[str, Any]:
    """The attributes of a span or resource as a dict: the SDK's own mapping is slow to walk and to ask in vain.

    It copies itself in a quarter of the time that walking it takes.
    """
    own = told.attributes
    copied: Any = own.copy() if hasattr(own, "copy") else own
    return cast("dict[str, Any]", copied if type(copied) is dict else dict(copied or {}))


def read(attributes: Attributes, rows: Rows) -> SpanFacts:
    """What attributes tell of these facts, each by the best of its names that tells it."""
    told = SpanFacts()
    for fact, wanted, names in rows:
        for name in names:
            value = attributes.get(name)
            if value is None:
                continue
            if wanted is str:
                if not isinstance(value, str) or not value:
                    continue
            elif wanted is int and not (type(value) is int and 0 <= value <= MAX_TOKENS):
                value = count(value)
                if value is None:
                    continue
            setattr(told, fact, value)
            break
    return told
