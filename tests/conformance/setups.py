"""The table of set-ups: which instrumentations are on together, and which kinds of call go through them."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Setup:
    """One row group of the matrix."""

    title: str
    on: tuple[str, ...] = ()
    """Keys of switches.SWITCHES."""
    groups: tuple[str, ...]
    """Groups of kinds."""
    packages: tuple[str, ...]
    """Whose versions are shown."""
    naming: str = ""
    """How a session is named in the instrumentation's own way; a key of switches.NAMING."""
    environ: Mapping[str, str] = field(default_factory=dict)
    """Environment variables that it needs."""
    linger: float = 0.0
    """Seconds that its background threads go on telling of a call."""
    spans: bool = True
    """Whether there are spans at all, so that it can be tried without the request gate."""


_TL, _OI, _GENAI = (
    "opentelemetry-instrumentation-",
    "openinference-instrumentation-",
    "opentelemetry-instrumentation-genai-",
)
_LC = ("langchain-core", "langchain-openai")

_CONTENT = {"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "span_only"}

SETUPS: dict[str, Setup] = {
    "sdks": Setup(
        title="no instrumentation: the SDKs alone",
        groups=("openai", "anthropic"),
        packages=("openai", "anthropic"),
        spans=False,
    ),
    # Traceloop -------------------------------------------------------------------------------------------------------
    "tl-openai": Setup(
        title="Traceloop openai",
        on=("tl-openai",),
        groups=("openai",),
        packages=(_TL + "openai", "openai"),
        naming="association properties",
    ),
    "tl-anthropic": Setup(
        title="Traceloop anthropic",
        on=("tl-anthropic",),
        groups=("anthropic",),
        packages=(_TL + "anthropic", "anthropic"),
        naming="association properties",
    ),
    "tl-langchain": Setup(
        title="Traceloop langchain",
        on=("tl-langchain",),
        groups=("langchain",),
        packages=(_TL + "langchain", *_LC),
        naming="metadata session_id",
    ),
    "tl-langchain+openai": Setup(
        title="Traceloop langchain + openai + anthropic",
        on=("tl-langchain", "tl-openai", "tl-anthropic"),
        groups=("langchain",),
        packages=(_TL + "langchain", _TL + "openai", *_LC),
        naming="metadata session_id",
    ),
    "tl-agents": Setup(
        title="Traceloop openai-agents",
        on=("tl-agents",),
        groups=("openai-agents",),
        packages=(_TL + "openai-agents", "openai-agents", "openai"),
        naming="association properties",
    ),
    "tl-agents+openai": Setup(
        title="Traceloop openai-agents + openai",
        on=("tl-agents", "tl-openai"),
        groups=("openai-agents",),
        packages=(_TL + "openai-agents", _TL + "openai", "openai-agents", "openai"),
        naming="association properties",
    ),
    "tl-google": Setup(
        title="Traceloop google-generativeai",
        on=("tl-google",),
        groups=("google",),
        packages=(_TL + "google-generativeai", "google-genai"),
        naming="association properties",
    ),
    # OpenTelemetry ---------------------------------------------------------------------------------------------------
    "genai-openai": Setup(
        title="OpenTelemetry genai-openai",
        on=("genai-openai",),
        groups=("openai",),
        packages=(_GENAI + "openai", "openai"),
    ),
    "genai-anthropic": Setup(
        title="OpenTelemetry genai-anthropic",
        on=("genai-anthropic",),
        groups=("anthropic",),
        packages=(_GENAI + "anthropic", "anthropic"),
    ),
    "genai-langchain": Setup(
        title="OpenTelemetry genai-langchain",
        on=("genai-langchain",),
        groups=("langchain",),
        packages=(_GENAI + "langchain", *_LC),
        naming="metadata session_id",
    ),
    "genai-langchain-content": Setup(
        title="OpenTelemetry genai-langchain, content captured",
        on=("genai-langchain",),
        groups=("langchain",),
        packages=(_GENAI + "langchain", *_LC),
        naming="metadata session_id",
        environ=_CONTENT,
    ),
    "genai-langchain+openai": Setup(
        title="OpenTelemetry genai-langchain + genai-openai + genai-anthropic",
        on=("genai-langchain", "genai-openai", "genai-anthropic"),
        groups=("langchain",),
        packages=(_GENAI + "langchain", _GENAI + "openai", *_LC),
        naming="metadata session_id",
    ),
    "genai-agents": Setup(
        title="OpenTelemetry genai-openai-agents",
        on=("genai-agents",),
        groups=("openai-agents",),
        packages=(_GENAI + "openai-agents", "openai-agents", "openai"),
        naming="group_id",
    ),
    "genai-agents+openai": Setup(
        title="OpenTelemetry genai-openai-agents + genai-openai",
        on=("genai-agents", "genai-openai"),
        groups=("openai-agents",),
        packages=(_GENAI + "openai-agents", _GENAI + "openai", "openai-agents", "openai"),
        naming="group_id",
    ),
    "genai-google": Setup(
        title="OpenTelemetry google-genai",
        on=("genai-google",),
        groups=("google",),
        packages=(_TL + "google-genai", "google-genai"),
    ),
    "openai-v2": Setup(
        title="OpenTelemetry openai-v2",
        on=("openai-v2",),
        groups=("openai",),
        packages=(_TL + "openai-v2", "openai"),
    ),
    # OpenInference ---------------------------------------------------------------------------------------------------
    "oi-openai": Setup(
        title="OpenInference openai",
        on=("oi-openai",),
        groups=("openai",),
        packages=(_OI + "openai", "openai"),
        naming="using_session",
    ),
    "oi-anthropic": Setup(
        title="OpenInference anthropic",
        on=("oi-anthropic",),
        groups=("anthropic",),
        packages=(_OI + "anthropic", "anthropic"),
        naming="using_session",
    ),
    "oi-langchain": Setup(
        title="OpenInference langchain",
        on=("oi-langchain",),
        groups=("langchain",),
        packages=(_OI + "langchain", *_LC),
        naming="metadata session_id",
    ),
    "oi-langchain+openai": Setup(
        title="OpenInference langchain + openai + anthropic",
        on=("oi-langchain", "oi-openai", "oi-anthropic"),
        groups=("langchain",),
        packages=(_OI + "langchain", _OI + "openai", *_LC),
        naming="metadata session_id",
    ),
    # The anthropic SDK's own spans -----------------------------------------------------------------------------------
    "anthropic-own": Setup(
        title="anthropic SDK's own spans",
        on=("anthropic-own",),
        groups=("anthropic",),
        packages=("anthropic",),
    ),
    "anthropic-own+tl": Setup(
        title="anthropic SDK's own spans + Traceloop anthropic",
        on=("anthropic-own", "tl-anthropic"),
        groups=("anthropic",),
        packages=(_TL + "anthropic", "anthropic"),
    ),
    "anthropic-own+genai": Setup(
        title="anthropic SDK's own spans + OpenTelemetry genai-anthropic",
        on=("anthropic-own", "genai-anthropic"),
        groups=("anthropic",),
        packages=(_GENAI + "anthropic", "anthropic"),
    ),
    "anthropic-own+oi": Setup(
        title="anthropic SDK's own spans + OpenInference anthropic",
        on=("anthropic-own", "oi-anthropic"),
        groups=("anthropic",),
        packages=(_OI + "anthropic", "anthropic"),
    ),
    # pydantic-ai -----------------------------------------------------------------------------------------------------
    "pydantic-ai": Setup(
        title="pydantic-ai",
        on=("pydantic-ai",),
        groups=("pydantic-ai",),
        packages=("pydantic-ai-slim", "openai", "anthropic"),
        naming="conversation_id",
    ),
    **{
        f"pydantic-ai-{version}": Setup(
            title=f"pydantic-ai, settings version {version}",
            on=(f"pydantic-ai-{version}",),
            groups=("pydantic-ai",),
            packages=("pydantic-ai-slim", "openai", "anthropic"),
        )
        for version in (1, 2, 3, 4, 6)
    },
    "pydantic-ai+genai": Setup(
        title="pydantic-ai + genai-openai + genai-anthropic + HTTP spans",
        on=("pydantic-ai", "genai-openai", "genai-anthropic", "httpx"),
        groups=("pydantic-ai",),
        packages=("pydantic-ai-slim", _GENAI + "openai", _TL + "httpx", "openai", "anthropic"),
    ),
    # Others ----------------------------------------------------------------------------------------------------------
    "litellm": Setup(
        title="litellm's otel callback",
        on=("litellm",),
        groups=("litellm",),
        packages=("litellm", "openai"),
        linger=1.0,
    ),
    "httpx": Setup(
        title="HTTP client spans alone",
        on=("httpx",),
        groups=("openai", "anthropic"),
        packages=(_TL + "httpx", "openai", "anthropic"),
    ),
    "httpx-google": Setup(
        title="HTTP client spans alone, google-genai",
        on=("httpx",),
        groups=("google",),
        packages=(_TL + "httpx", "google-genai"),
    ),
    # Many at once ----------------------------------------------------------------------------------------------------
    "tl-openai+httpx": Setup(
        title="Traceloop openai + HTTP spans",
        on=("tl-openai", "httpx"),
        groups=("openai",),
        packages=(_TL + "openai", _TL + "httpx", "openai"),
    ),
    "tl+genai-openai": Setup(
        title="Traceloop openai + OpenTelemetry genai-openai",
        on=("tl-openai", "genai-openai"),
        groups=("openai",),
        packages=(_TL + "openai", _GENAI + "openai", "openai"),
    ),
    "all-langchain": Setup(
        title="Traceloop and OpenInference langchain + openai + anthropic, HTTP spans",
        on=("tl-langchain", "tl-openai", "tl-anthropic", "oi-langchain", "oi-openai", "oi-anthropic", "httpx"),
        groups=("langchain",),
        packages=(_TL + "langchain", _TL + "openai", _OI + "langchain", _OI + "openai", _TL + "httpx", *_LC),
    ),
}
