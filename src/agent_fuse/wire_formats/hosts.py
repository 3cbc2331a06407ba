"""Hosts that serve models, and which requests to them bill nothing: a path that is none of the protocols' may cost.

A request is looked at here where no protocol knows its path. What a host serves beside models is kept out (`under`);
of the rest, what is not known to be `free` may cost. In patterns `*` stands for one segment, or a part of it, and
`**/` for any number.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from agent_fuse.endpoints import ANTHROPIC, OPENAI, UNKNOWN, endpoint_of
from agent_fuse.wire_formats.base import spelled

_FREE = (
    *("**/files", "**/files/*", "**/files/*/content", "**/uploads", "**/uploads/**", "**/models"),
    *("**/cancel", "**:cancel", "**/stop", "**/pause", "**/resume", "**/archive", "**/delete", "**/bulk-delete"),
    *("**/tokenize", "**/detokenize", "**/tokenization", "**/count-tokens", "**/count_tokens", "**/input_tokens"),
    *("**:countTokens", "**:computeTokens", "**/auth/**", "**/oauth/**", "**/keys", "**/api-keys", "**/feedback"),
    *("**/webhooks", "**/search/models"),
)
"""Free at every one of them: what keeps, counts, ends or lets in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelHost:
    """A provider's hosts."""

    provider: str
    """Its id in the price data, where that knows it."""
    hosts: tuple[str, ...]
    under: tuple[str, ...] = ("**",)
    """Paths of which one may be a model's: it serves other things too."""
    free: tuple[str, ...] = ()
    """Paths that cost nothing, beside those that are free everywhere."""
    table: str = ""
    """Whose table of endpoints says which are free, instead: `openai` or `anthropic`."""
    source: str = ""
    """Where it is written down."""


def _row(provider: str, *hosts: str) -> ModelHost:
    return ModelHost(provider=provider, hosts=hosts)


MODEL_HOSTS: tuple[ModelHost, ...] = (
    ModelHost(provider=OPENAI, hosts=("api.openai.com", "*.api.openai.com"), table=OPENAI),
    ModelHost(provider=ANTHROPIC, hosts=("api.anthropic.com",), table=ANTHROPIC),
    ModelHost(
        provider="azure",
        hosts=("*.openai.azure.com", "*.cognitiveservices.azure.com", "*.services.ai.azure.com"),
        under=("openai/**",),
        table=OPENAI,
    ),
    ModelHost(
        provider="azure",
        hosts=("*.services.ai.azure.com",),
        under=("models/**", "anthropic/**", "providers/**"),
        source="azure-ai-inference 1.0.0b9",
    ),
    ModelHost(
        provider="azure",
        hosts=("*.models.ai.azure.com", "*.inference.ai.azure.com", "models.github.ai"),
        source="azure-ai-inference 1.0.0b9",
    ),
    ModelHost(
        provider="google",
        hosts=("generativelanguage.googleapis.com",),
        # A store for search is free, what is put into it is embedded.
        free=("*/auth_tokens", "**/files:register", "*/fileSearchStores", "*/corpora", "*/corpora/*/documents"),
        source="google-genai 3.6; ai.google.dev/api",
    ),
    ModelHost(
        provider="google",
        hosts=("aiplatform.googleapis.com", "*-aiplatform.googleapis.com", "aiplatform.*.rep.googleapis.com"),
        under=(
            *("**/publishers/*/models/*:*", "**/endpoints/openapi/**", "**/cachedContents", "**:evaluateInstances"),
            *("**:evaluateDataset", "**:generateSyntheticData", "**:augmentPrompt", "**:corroborateContent"),
        ),
        free=("**:fetchPredictOperation",),
        source="google-genai 3.6; google-cloud-aiplatform 2.7; cloud.google.com/vertex-ai",
    ),
    ModelHost(
        provider="aws",
        hosts=("bedrock-runtime", "bedrock-runtime-fips"),
        source="bedrock-runtime of botocore 1.44",
    ),
    ModelHost(
        provider="aws",
        hosts=("bedrock-agent-runtime", "bedrock-agent-runtime-fips"),
        free=(
            *("knowledgebases/*/datasources/**", "sessions", "sessions/**", "tags/**"),
            "knowledgebases/*/retrieve",  # what is found is not billed; the vectors' store is, and asks to be embedded
        ),
        source="bedrock-agent-runtime of botocore 1.44",
    ),
    ModelHost(
        provider="aws",
        hosts=("bedrock", "bedrock-fips"),
        under=(
            *("evaluation-jobs", "advanced-prompt-optimization-jobs", "provisioned-model-throughput"),
            *("model-customization/**", "automated-reasoning-policies/*/build-workflows/**"),
        ),
        source="bedrock of botocore 1.44",
    ),
    ModelHost(
        provider="mistral",
        hosts=("api.mistral.ai", "api.*.mistral.ai", "codestral.mistral.ai"),
        free=(
            *("*/agents", "*/audio/agents", "*/audio/voices", "*/libraries", "*/connectors", "*/client/sessions"),
            *("*/connectors/*/*/credentials", "*/connectors/*/*/activate", "*/connectors/*/*/deactivate"),
            *("*/observability/datasets", "*/observability/datasets/**", "*/observability/judges"),
            *("*/observability/pipelines", "*/observability/**/search", "*/observability/**/search/latest"),
            *("*/observability/**/aggregate", "*/observability/**/compute", "*/service-accounts", "*/triggers"),
            *("*/workflows/**", "*/prompts", "*/prompts/**", "*/skills", "*/skills/**", "*/context/search-indexes"),
            "*/fine_tuning/jobs/*/start",  # billed where it was begun
        ),
        source="mistralai 3.7; docs.mistral.ai/api",
    ),
    ModelHost(
        provider="cohere",
        hosts=("api.cohere.com", "api.cohere.ai"),
        free=("*/check-api-key", "*/connectors", "*/connectors/**", "*/datasets"),
        source="cohere 7.3; docs.cohere.com/reference",
    ),
    _row("groq", "api.groq.com"),
    ModelHost(
        provider="together",
        hosts=("api.together.xyz", "api.together.ai", "api-inference.together.ai"),
        free=(
            *("*/compute/**", "*/deployments", "*/deployments/**", "*/projects/**", "*/queue/cancel", "*/queue/clear"),
            *("*/fine-tunes/estimate-price", "*/fine-tunes/preview", "*/rl/model-resources/estimate-cost"),
            *("**/extend-expiry", "**/estimate"),
        ),
        source="together 3.1",
    ),
    ModelHost(
        provider="fireworks",
        hosts=("api.fireworks.ai",),
        under=("inference/**", "trajectories/**"),
        source="fireworks-ai 1.2",
    ),
    _row("cerebras", "api.cerebras.ai"),
    _row("deepseek", "api.deepseek.com"),
    _row("x-ai", "api.x.ai", "*.api.x.ai"),
    ModelHost(
        provider="openrouter",
        hosts=("openrouter.ai", "*.openrouter.ai"),
        under=("api/**",),
        free=(
            *("**/analytics/**", "**/byok", "**/external-users", "**/guardrails", "**/guardrails/**", "**/promote"),
            *("**/observability/**", "**/private-endpoints", "**/private-endpoints/**", "**/scim/**", "**/vault/**"),
            *("**/workspaces", "**/workspaces/**", "**/credits/**"),
        ),
        source="openrouter 1.3",
    ),
    ModelHost(provider="perplexity", hosts=("api.perplexity.ai",), free=("**/skills",), source="perplexityai 0.46"),
    _row("voyageai", "api.voyageai.com"),
    ModelHost(
        provider="replicate",
        hosts=("api.replicate.com",),
        under=("**/predictions", "**/trainings"),
        source="replicate 1.0",
    ),
    ModelHost(
        provider="huggingface",
        hosts=("router.huggingface.co", "api-inference.huggingface.co"),
        source="huggingface_hub 2.4",
    ),
    _row("moonshotai", "api.moonshot.ai", "api.moonshot.cn"),
    _row("zai", "api.z.ai"),
    _row("zhipuai", "open.bigmodel.cn"),
    _row("minimax", "api.minimax.io", "api.minimaxi.com"),
    _row("novita", "api.novita.ai"),
    _row("arcee", "api.arcee.ai"),
    _row("baseten", "inference.baseten.co"),
    ModelHost(
        provider="cloudflare",
        hosts=("api.cloudflare.com",),
        under=("client/v4/accounts/*/ai/run/**", "client/v4/accounts/*/ai/v1/**"),
    ),
    ModelHost(
        provider="databricks",
        hosts=("*.cloud.databricks.com", "*.azuredatabricks.net", "*.gcp.databricks.com"),
        under=("serving-endpoints/*/invocations",),
        source="databricks-sdk 0.162",
    ),
    ModelHost(
        provider="dashscope",
        hosts=("dashscope.aliyuncs.com", "dashscope-*.aliyuncs.com", "*.dashscope.aliyuncs.com"),
        under=("api/*/services/**", "api/*/apps/*/completion", "api/*/fine-tunes", "**/threads/**/runs"),
        free=("**/tokenizer",),
        source="dashscope 2.0",
    ),
    ModelHost(
        provider="watsonx",
        hosts=("*.ml.cloud.ibm.com",),
        under=("ml/v1/**", "ml/gateway/v1/**"),
        free=("**/gateway/v1/policies", "**/gateway/v1/providers", "**/gateway/v1/providers/**"),
        source="ibm-watsonx-ai 1.8",
    ),
    ModelHost(
        provider="ai21",
        hosts=("api.ai21.com",),
        free=("**/library/files", "**/assistants"),
        source="ai21 4.3",
    ),
    ModelHost(
        provider="writer",
        hosts=("api.writer.com",),
        free=("*/graphs", "*/graphs/*/file"),
        source="writer-sdk 3.0",
    ),
    _row("sambanova", "api.sambanova.ai"),
    ModelHost(
        provider="friendli",
        hosts=("api.friendli.ai",),
        under=("serverless/**", "dedicated/v1/**", "dedicated/classify"),
        free=("**/chat/render",),
        source="friendli 0.16",
    ),
    ModelHost(
        provider="elevenlabs",
        hosts=("api.elevenlabs.io", "api.us.elevenlabs.io", "api.*.residency.elevenlabs.io"),
        under=(
            *("*/text-to-*/**", "*/text-to-dialogue", "*/text-to-voice", "*/speech-to-*/**", "*/speech-to-text"),
            *("*/sound-generation", "*/music", "*/music/**", "*/audio-isolation", "*/audio-isolation/**"),
            *("*/dubbing", "*/dubbing/**", "*/flows/**", "*/studio/podcasts", "**/simulate-conversation"),
            *("**/simulate-conversation/stream", "**/outbound-call", "*/convai/batch-calling/submit"),
        ),
        free=("*/music/plan", "*/music/upload"),
        source="elevenlabs 2.78",
    ),
    ModelHost(
        provider="portkey",
        hosts=("api.portkey.ai",),
        under=("**/completions", "**/messages", "**/responses", "**/prompts/*/completions", "**/rerank"),
        source="portkey-ai 2.3",
    ),
)
"""Hosts of the price data and of the SDKs' own sources (2026-11), where nothing else is named."""

_AWS = re.compile(
    r"(?:vpce-[a-z0-9-]+\.)?([a-z-]+)\.[a-z]{2,}(?:-[a-z]+)+-\d\.(?:vpce\.)?(?:amazonaws\.com(?:\.cn)?|api\.aws|api\.amazonwebservices\.com\.cn)"
)
"""Which service a host of Amazon's is, whatever its region."""


def _expression(pattern: str, one: str) -> str:
    parts = re.split(r"(\*\*/|/\*\*|\*\*|\*)", pattern.lower())
    words = {"**/": "(?:.*/)?", "/**": "/.*", "**": ".*", "*": f"{one}+"}
    return "".join(words.get(part, re.escape(part)) for part in parts)


def _any(patterns: tuple[str, ...], one: str = "[^/:]") -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{_expression(pattern, one)})" for pattern in patterns))


@dataclass(frozen=True, slots=True)
class _Rules:
    """What is read of a row, once it is needed."""

    provider: str
    table: str
    under: re.Pattern[str]
    free: re.Pattern[str]

    def operation(self, path: str) -> str | None:
        """What a POST to this path is; empty: it costs nothing; None: it is no model's."""
        told = spelled(path).lstrip("/")
        if not self.under.fullmatch(told):
            return None
        if not self.table:
            return "" if self.free.fullmatch(told) else UNKNOWN
        row = endpoint_of("post", f"https://-/{told}", self.table)
        return row.operation if row is not None else ""


@lru_cache(maxsize=256)
def rules_of(host: str) -> tuple[_Rules, ...]:
    """What holds at a host; most serve no models, and there is nothing. One that was seen is told in 0.1 µs."""
    host = host.lower().rstrip(".")
    service = found[1] if (found := _AWS.fullmatch(host)) else ""
    return tuple(
        _Rules(row.provider, row.table, _any(row.under), _any((*_FREE, *row.free)))
        for row in MODEL_HOSTS
        if _any(row.hosts, "[^/]").fullmatch(host) or service in row.hosts
    )


@lru_cache(maxsize=1024)
def served(host: str, path: str) -> tuple[str, str] | None:
    """The provider of a model host, and the operation of a POST to this path of it, which no protocol may know.

    An empty operation costs nothing. None where no models are served.
    """
    told = ((one.provider, one.operation(path)) for one in rules_of(host))
    return next(((provider, found) for provider, found in told if found is not None), None)


def split(url: str) -> tuple[str, str]:
    """The host and the path of a whole URL, in half a microsecond."""
    rest = url.partition("?")[0].partition("#")[0].partition("://")[2]
    host, slash, path = rest.partition("/")
    if ":" in host or "@" in host:
        host = host.rpartition("@")[2].partition(":")[0]
    return host, slash + path


def host_of(url: str) -> str:
    """The host of a whole URL."""
    return split(url)[0]
