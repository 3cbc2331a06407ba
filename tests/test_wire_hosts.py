"""Which POSTs to a model host may cost, by the paths of the SDKs' own sources: priced, free by the table, or unknown."""

import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import botocore.session
import pytest

from agent_fuse.wire_formats import find
from agent_fuse.wire_formats.hosts import rules_of, served, split

UNKNOWN = {
    "bedrock-runtime": {"/guardrail/*/version/*/apply", "/model/*/invoke-with-bidirectional-stream"},
    "bedrock-agent-runtime": {
        "/agenticRetrieveStream",
        "/agents/*",
        "/agents/*/agentAliases/*/sessions/*/text",
        "/flows/*/aliases/*",
        "/flows/*/aliases/*/executions",
        "/generateQuery",
        "/rerank",
    },
    "bedrock": {
        "/advanced-prompt-optimization-jobs",
        "/automated-reasoning-policies/*/build-workflows/*/start",
        "/automated-reasoning-policies/*/build-workflows/*/test-workflows",
        "/evaluation-jobs",
        "/model-customization/custom-model-deployments",
        "/provisioned-model-throughput",
    },
    "sagemaker-runtime": set(),
    "polly": set(),
    "comprehend": set(),
    "cohere": {"/v1/embed-jobs", "/v1/finetuning/finetuned-models", "/v1/generate", "/v1/summarize", "/v2/parse"},
    "mistral": {
        "/v1/audio/sessions",
        "/v1/chat/classifications",
        "/v1/chat/moderations",
        "/v1/classifications",
        "/v1/connectors/*/tools/*/call",
        "/v1/context/search-indexes/*/documents",
        "/v1/context/search-indexes/*/grep",
        "/v1/context/search-indexes/*/navigate",
        "/v1/context/search-indexes/*/read",
        "/v1/context/search-indexes/*/search",
        "/v1/context/search-indexes/*/summary_field/*",
        "/v1/conversations",
        "/v1/conversations/*",
        "/v1/conversations/*/restart",
        "/v1/libraries/*/documents",
        "/v1/libraries/*/documents/*/reprocess",
        "/v1/moderations",
        "/v1/observability/dataset-records/*/live-judging",
        "/v1/observability/judges/*/live-judging",
    },
    "groq": set(),
}
"""What the newest releases post that is neither priced nor free by the table: each is to be looked at once."""

HOSTS = {"cohere": "api.cohere.com", "mistral": "api.mistral.ai", "groq": "api.groq.com"}
PACKAGES = {"cohere": "cohere", "mistral": "mistralai.client", "groq": "groq.resources"}
POSTS = re.compile(
    r'method="POST",\s*path="([^"#]*)|_post\(\s*(?:path_template\(\s*)?f?"([^"]*)"'
    r'|f?"([^"\s]*)",\s*(?:base_url=[^,]*,\s*)?method="POST"'
)


def posted(name: str) -> Iterator[str]:
    """The paths that an installed SDK posts to, with a star for what is put in."""
    if name not in PACKAGES:
        model = botocore.session.get_session().get_service_model(name)
        requests = [model.operation_model(one).http for one in model.operation_names]
        paths = [one["requestUri"].partition("?")[0] for one in requests if one["method"] == "POST"]
    else:
        spec = find_spec(PACKAGES[name])
        assert spec is not None
        assert spec.origin is not None
        texts = [one.read_text("utf-8") for one in Path(spec.origin).parent.rglob("*.py")]
        paths = ["/" + "".join(found).lstrip("/") for text in texts for found in POSTS.findall(text)]
    for path in {re.sub(r"\{[^}]*\}", "*", one) for one in paths}:
        # What is for Azure's or Vertex's hosts alone is told by its end.
        if not path.startswith(("/models/", "/providers/")) and not path.lower().endswith("rawpredict"):
            yield path


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_an_sdk_posts_is_priced_or_free_or_looked_at(name: str) -> None:
    """A new path of a new release turns up here, and is held at an estimate until then."""
    host = HOSTS.get(name, f"{name}.us-east-1.amazonaws.com")
    paths = {one: one.replace("*", "x1") for one in posted(name)}
    assert paths
    told = {one: served(host, path) for one, path in paths.items() if find(path) is None}
    assert {one for one, found in told.items() if found is not None and found[1]} == UNKNOWN[name]


VERTEX = "us-central1-aiplatform.googleapis.com/v1/projects/p/locations/l"


@pytest.mark.parametrize(
    "url",
    [
        "storage.googleapis.com/upload/storage/v1/b/x/o",
        "www.googleapis.com/upload/youtube/v3/videos",
        "dataproc.googleapis.com/v1/projects/p/locations/l/batches",
        f"{VERTEX}/endpoints/1234:predict",
        f"{VERTEX}/customJobs",
        f"{VERTEX}/pipelineJobs",
        f"{VERTEX}/indexEndpoints/1:findNeighbors",
        f"{VERTEX}/publishers/google/models/veo-3:fetchPredictOperation",
        f"{VERTEX}/publishers/google/models/gemini-2.5-flash:countTokens",
        "generativelanguage.googleapis.com/upload/v1beta/files",
        "generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:countTokens",
        "generativelanguage.googleapis.com/v1beta/batches/1:cancel",
        "generativelanguage.googleapis.com/v1alpha/auth_tokens",
        "bedrock.s3.amazonaws.com/x",
        "s3.us-east-1.amazonaws.com/bedrock-runtime/x",
        "dynamodb.us-east-1.amazonaws.com/",
        "bedrock-runtime.us-east-1.amazonaws.com/model/amazon.nova-lite-v1:0/count-tokens",
        "vision.cognitiveservices.azure.com/vision/v3.2/analyze",
        "api.openai.com/v1/files",
        "api.openai.com/v1/conversations",
        "api.anthropic.com/v1/messages/count_tokens",
        "x.openai.azure.com/openai/v1/files",
        "api.cloudflare.com/client/v4/zones/1/purge_cache",
        "api.replicate.com/v1/models",
        "api.replicate.com/v1/predictions/abc/cancel",
        "api.fireworks.ai/v1/accounts/a/deployments",
        "api.together.ai/v1/fine-tunes/estimate-price",
        "openrouter.ai/api/v1/keys",
        "eu-de.ml.cloud.ibm.com/ml/v1/text/tokenization",
        "eu-de.ml.cloud.ibm.com/ml/v4/deployments",
        "shop.invalid/v1/orders",
        "api.mistral.ai.shop.invalid/v1/conversations",
    ],
)
def test_other_products_and_what_is_free_pass(url: str) -> None:
    """They bill no model: nothing of them is looked at."""
    host, path = split(f"https://{url}")
    found = served(host, path)
    assert found is None or not found[1]


@pytest.mark.parametrize(
    "url",
    [
        "generativelanguage.googleapis.com/v1beta/cachedContents",
        "generativelanguage.googleapis.com/v1beta/fileSearchStores/s:importFile",
        f"{VERTEX}/cachedContents",
        f"{VERTEX}/publishers/google/models/imagen-4-preview:predict",
        f"{VERTEX.replace('us-central1-', '')}/publishers/google/models/virtual-try-on-preview-08-04:predict",
        "aiplatform.eu.rep.googleapis.com/v1/publishers/google/models/x:predict",
        "vpce-0a1b-x2.bedrock-agent-runtime.eu-west-1.vpce.amazonaws.com/rerank",
        "bedrock-agent-runtime.us-gov-west-1.amazonaws.com/rerank",
        "bedrock-runtime-fips.us-east-1.api.aws/guardrail/g/version/1/apply",
        "API.Mistral.AI/v1/conversations/",
        "api.openai.com/v1/threads/runs",
        "api.openai.com/v1/something/new",
        "eu.api.openai.com/v1/something/new",
        "api.anthropic.com/v1/something/new",
        "x.services.ai.azure.com/models/something/new",
        "x.openai.azure.com/openai/deployments/d/something",
        "api.perplexity.ai/search",
        "api.replicate.com/v1/deployments/a/b/predictions",
        "api.replicate.com/v1/predictions",
        "router.huggingface.co/hf-inference/models/a/b/pipeline/feature-extraction",
        "api.cloudflare.com/client/v4/accounts/1/ai/run/@cf/meta/llama-3",
        "dashscope-us.aliyuncs.com/api/v1/services/aigc/multimodal-generation/generation",
        "eu-de.ml.cloud.ibm.com/ml/v1/text/chat",
        "api.writer.com/v1/applications/1",
        "api.ai21.com/studio/v1/maestro/runs",
        "api.elevenlabs.io/v1/text-to-speech/voice1/stream",
    ],
)
def test_what_may_cost_is_looked_at(url: str) -> None:
    """Each of these bills something, and no protocol of the table tells how much."""
    host, path = split(f"https://{url}")
    assert find(path) is None
    found = served(host, path)
    assert found is not None
    assert found[1]


def test_most_hosts_have_no_rules() -> None:
    """So that an unrelated request costs no look at its path."""
    assert rules_of("shop.invalid") == ()
    assert [one.provider for one in rules_of("api.mistral.ai")] == ["mistral"]
    assert split("https://u:p@api.mistral.ai:8443/v1/x?a=b#c") == ("api.mistral.ai", "/v1/x")
    assert split("https://api.mistral.ai?a=/b") == ("api.mistral.ai", "")
