"""Why a cell is not green, and what to do: one footnote for each reason."""

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True, kw_only=True)
class Reason:
    """One footnote, and the cells it stands at: all of what is given must fit (shell patterns; `words` is searched)."""

    key: str
    text: str
    setups: str = "*"
    kinds: str = "*"
    modes: str = "*"
    columns: tuple[str, ...] = ()
    words: str = ""
    environments: str = "*"

    def fits(self, environment: str, setup: str, mode: str, kind: str, column: str, word: str) -> bool:
        return (
            _any(environment, self.environments)
            and _any(setup, self.setups)
            and _any(mode, self.modes)
            and _any(kind, self.kinds)
            and (not self.columns or column in self.columns)
            and re.search(self.words, word) is not None
        )


def _any(name: str, patterns: str) -> bool:
    """Patterns are parted by `|`."""
    return any(fnmatchcase(name, one) for one in patterns.split("|"))


def reason(environment: str, setup: str, mode: str, kind: str, column: str, word: str) -> Reason:
    """The first reason that fits.

    Raises:
        LookupError: nobody says why this cell is not green.
    """
    for one in REASONS:
        if one.fits(environment, setup, mode, kind, column, word):
            return one
    raise LookupError(f"{environment} {setup} {mode} {kind!r} {column}: {word!r} is not green, and no reason says why")


REFUSED = ("exhausted", "size")
_AGENTS = "genai-agents|genai-agents+openai"

REASONS: tuple[Reason, ...] = (
    Reason(
        key="httpx-booked",
        setups="httpx|httpx-google",
        modes="*",
        columns=("booked",),
        words="^once, estimated",
        text="An HTTP client span carries the URL and the status, no usage: the call is booked at its quote, marked as "
        "estimated. Turn on an instrumentation of the SDK to have it exact.",
    ),
    Reason(
        key="httpx-size",
        setups="httpx|httpx-google",
        columns=("size",),
        words="sent, no trip",
        text="An HTTP client span does not show the body, so a large request looks like any other; a used-up limit is "
        "refused. Give the SDK an instrumentation that tells the prompt, or quote it by hand with `pre_flight`.",
    ),
    Reason(
        key="google-size",
        setups="*google",
        columns=("size",),
        words="sent, no trip",
        text="Before the request leaves, this span does not tell the prompt, so a large call is quoted like the session's last "
        "ones; what it really costs is booked, and the next call refused. Quote large calls by hand with `pre_flight`.",
    ),
    Reason(
        key="google-cached",
        setups="*google",
        columns=("booked",),
        words=r"^once, off by \+",
        text="This span does not tell which input tokens were cached: all are booked at the full rate. OpenTelemetry's "
        "google-genai instrumentation tells them.",
    ),
    Reason(
        key="litellm-late",
        setups="litellm",
        columns=(*REFUSED, "session", "own"),
        words="sent|when booked|not found",
        text="litellm's callback makes its spans after the call, in a logging thread: there is nothing to refuse. Calls "
        "that litellm makes through the openai SDK pass the request gate; for others turn on HTTP client spans, or ask "
        "`pre_flight` first.",
    ),
    Reason(
        key="litellm-cached",
        setups="litellm",
        columns=("booked",),
        words=r"^once, off by",
        text="litellm's span leaves out which input tokens were cached or written to a cache: all are booked at the full "
        "rate. Where the request gate sees the call, it is exact.",
    ),
    Reason(
        key="litellm-stream",
        setups="litellm",
        columns=("booked", "broken"),
        text="litellm's callback tells a stream only when it was read to its end; one that is left makes no span. Where "
        "the request gate sees the call, it is booked.",
    ),
    Reason(
        key="tl-responses",
        setups="tl-openai|tl-openai+httpx|tl+genai-openai|tl-langchain+openai",
        modes="spans",
        kinds="responses*",
        columns=(*REFUSED, "session", "own"),
        text="Traceloop makes its Responses span after the response, with a start in the past: it is booked, and there is "
        "nothing left to refuse. Keep the request gate on, or turn on HTTP client spans (a used-up limit is refused then).",
    ),
    Reason(
        key="v2-responses",
        setups="openai-v2",
        modes="spans",
        columns=("exhausted", "size", "booked", "broken", "session", "own"),
        words="1 sent|8 sent|^not|not found",
        text="This release of openai-v2 makes no span for such a call, so spans alone see nothing. Keep the request gate "
        "on, which sees it, or move to genai-openai.",
    ),
    Reason(
        key="v2-raw",
        setups="openai-v2",
        kinds="chat, raw response",
        words="AttributeError",
        text="openai-v2 2.0b0 breaks `with_raw_response` by itself, with or without AgentFuse.",
    ),
    Reason(
        key="embeddings",
        setups="*langchain*",
        modes="spans",
        kinds="OpenAIEmbeddings",
        columns=("exhausted", "size", "booked", "session"),
        text="No LangChain instrumentation makes a span for embeddings. Keep the request gate on, or add an "
        "instrumentation of the openai SDK.",
    ),
    Reason(
        key="embeddings-session",
        setups="*langchain*",
        kinds="OpenAIEmbeddings",
        columns=("own",),
        text="LangChain's embeddings take no config, so there is no place for a session of their own. Use "
        "`with agent_fuse.session(...)`.",
    ),
    Reason(
        key="no-model-span",
        setups="genai-agents",
        modes="spans",
        words="sent, no trip|^not|not found",
        columns=("exhausted", "size", "booked", "broken", "session", "own"),
        text="genai-openai-agents makes spans for workflows, agents and tools, none for model calls: they are genai-openai's "
        "work. Turn that on too, or keep the request gate on.",
    ),
    Reason(
        key="own-none",
        environments="openai-2",
        setups="pydantic-ai",
        columns=("own",),
        text="This release of pydantic-ai has no session id of its own. Use `with agent_fuse.session(...)`.",
    ),
    Reason(
        key="own-late",
        columns=("own",),
        words="not found|when booked",
        text="The instrumentation tells its session id when the span ends, after the money is spent on another account. "
        "Name the session with `with agent_fuse.session(...)`.",
    ),
    Reason(
        key="tools-late",
        columns=("tools",),
        words="^at the next gate",
        text="The tool's arguments are told after its body ran, by its span or by the conversation that the next request sends: the repeated "
        "call is counted then, and the next model or tool call of the session is refused. To stop before the body, use `loop_guard` on "
        "the tool.",
    ),
    Reason(
        key="tools-untold-agents",
        setups=f"{_AGENTS}|tl-agents*",
        columns=("tools",),
        words="not at all",
        text="In this release the span tells the tool's name and never its arguments, so two calls cannot be told to be the same. Use "
        "`loop_guard` on the tool, or a limit on `tool_calls`.",
    ),
    Reason(
        key="tools-untold",
        setups="genai-langchain*",
        columns=("tools",),
        words="not at all",
        text="Without content capture the span never tells the tool's arguments, so two calls cannot be told to be the "
        "same. Set `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=span_only`, use `loop_guard` on the tool, or a "
        "limit on `tool_calls`.",
    ),
    Reason(
        key="agents-usage",
        setups="tl-agents",
        modes="spans",
        columns=("booked",),
        words="estimated",
        text="Traceloop's openai-agents span of a chat-completions model carries no usage: the call is booked at its quote, "
        "marked as estimated. Keep the request gate on, or add Traceloop openai.",
    ),
    Reason(
        key="agents-stream",
        kinds="*model, stream",
        columns=(*REFUSED, "session", "own"),
        words="^0 sent, no trip|at the gate, no trip",
        text="This release of openai-agents runs the model in a task of its own and lets its stream end empty when that "
        "task fails: nothing is sent, and the caller sees an empty answer instead of the trip. Newer releases pass it on.",
    ),
    Reason(
        key="langchain-async",
        setups="*langchain*",
        columns=(*REFUSED, "session", "own"),
        words="AttributeError",
        text="Nothing is sent, but the caller gets an AttributeError: OpenInference's openai and anthropic spans swallow an "
        "Exception, so the trip is raised hard, and LangChain's async path knows no BaseException. Keep the request gate "
        "on: it raises the soft form.",
    ),
    Reason(
        key="tl-anthropic-stream",
        setups="tl-anthropic",
        modes="spans",
        kinds="messages*stream*",
        columns=("booked",),
        text="Traceloop anthropic tells a stream's output with that of `message_start` added, and on `messages.stream()` "
        "nothing shows that it was a stream: one token too many is booked. Older releases tell no usage at all. Keep the "
        "request gate on.",
    ),
    Reason(
        key="tl-anthropic-size",
        setups="tl-anthropic|anthropic-own+tl",
        modes="spans",
        kinds="messages.stream(), async",
        columns=("size",),
        text="Traceloop anthropic tells the prompt of this call from a thread of its own, where a raise cannot reach the caller. "
        "Keep the request gate on.",
    ),
    Reason(
        key="cache-write",
        setups="tl-langchain*|all-langchain",
        modes="spans",
        kinds="*ChatAnthropic",
        columns=("booked",),
        words="off by -",
        text="The span leaves out the tokens written to Anthropic's cache, which cost more than others. Keep the request "
        "gate on.",
    ),
    Reason(
        key="tl-raw-responses",
        environments="openai-2",
        setups="tl-agents+openai",
        kinds="Responses model*",
        words="AttributeError",
        text="Traceloop openai 0.55 breaks openai-agents' streamed and tool-calling Responses by itself, after the response, "
        "with or without AgentFuse: move to a newer release.",
    ),
    Reason(
        key="oi-no-span",
        setups="oi-anthropic",
        environments="openai-1|openai-2",
        modes="spans",
        kinds="messages.stream()*",
        words="sent, no trip|^not|not found",
        text="This release of OpenInference anthropic makes no span for `messages.stream()`. Keep the request gate on, which "
        "sees the call, or move to a newer release.",
    ),
    Reason(
        key="oi-no-usage",
        setups="oi-anthropic|oi-openai|oi-langchain*",
        environments="openai-1|openai-2",
        modes="spans",
        columns=("booked",),
        words="^once, estimated",
        text="This release of OpenInference tells no usage for such a call: it is booked at its quote, marked as estimated. "
        "Keep the request gate on, or move to a newer release.",
    ),
    Reason(
        key="oi-cached-apart",
        setups="oi-*",
        environments="openai-1|openai-2",
        columns=("booked",),
        words="^2 for 1",
        text="This release of OpenInference leaves Anthropic's cached tokens out of the input, and its span is not around the "
        "request: with prompt caching the two do not match and the call is counted twice. Move to a newer release.",
    ),
    Reason(
        key="pydantic-usage",
        environments="openai-2",
        setups="pydantic-ai*",
        modes="spans",
        columns=("booked",),
        words="^once, estimated",
        text="This release of pydantic-ai cannot read OpenAI's usage with a genai-prices this new, and tells none: the call is "
        "booked at its quote. Keep the request gate on, or move to a newer release.",
    ),
    Reason(
        key="agents-unread",
        setups="genai-agents+openai|tl-agents+openai",
        modes="spans",
        kinds="*model, stream",
        columns=("booked", "broken"),
        words="^once, estimated|^not",
        text="openai-agents does not read the stream to its very end, and this release of the openai instrumentation tells "
        "its usage only then. Keep the request gate on, which reads it in passing.",
    ),
    Reason(
        key="no-cached",
        modes="spans",
        columns=("booked",),
        words=r"^once, off by [+-]",
        text="This release does not tell which input tokens were cached: all are booked at the full rate. Keep the request "
        "gate on, or move to a newer release.",
    ),
    Reason(
        key="shared-scope",
        environments="genai-old",
        setups="genai-langchain+openai",
        words="for",
        columns=("booked", "broken"),
        text="In their first releases all genai-* packages make their spans in one scope, and here neither nests nor names "
        "the same response id: the call is counted twice. Move to a newer release, or turn one of the two off.",
    ),
    Reason(
        key="no-size",
        modes="spans",
        columns=("size",),
        words="sent",
        text="Before the request leaves, the span tells neither prompt nor body, so a large call is quoted like the session's "
        "last ones. What it really costs is booked, and the next call refused. Keep the request gate on.",
    ),
)
