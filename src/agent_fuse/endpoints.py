"""Which requests to the OpenAI and Anthropic APIs cost money: a table of their endpoints, and why the others are free.

Only what creates something can cost: a request that is no POST passes. A path is matched whole, by provider, from its
end (base URLs have prefixes of all kinds); of several rows that fit the longest counts.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

OPENAI, ANTHROPIC = "openai", "anthropic"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One row: where it is, and what it is (`operation`), or why it is `free`."""

    provider: str
    path: str
    """Segments; `*` stands for any one of them."""
    operation: str = ""
    """chat, responses, messages, text_completion, embeddings; image, speech, transcription, video; batch,
    message_batch, fine_tuning, run, agent: what they cost is known later. Empty: it is free."""
    free: str = ""


_PREFIX = frozenset({"v1", "openai", "anthropic", "api"})
"""What may stand before a free path in an SDK's own request; before a priced one anything may."""

UNKNOWN = "unknown"
"""The operation of an endpoint that the table does not know."""


def _rows(provider: str, operation: str, *paths: str) -> Iterator[Endpoint]:
    return (Endpoint(provider, path, operation) for path in paths)


def _free(provider: str, why: str, *paths: str) -> Iterator[Endpoint]:
    return (Endpoint(provider, path, free=why) for path in paths)


_WORK = "v1/environments/*/work"
_STORED = "it keeps something, and calls no model"
_STATE = "it changes the state of something that is paid for where it was begun"
_ADMIN = "administration"
_COUNTS = "it counts tokens"
_CLIENT_ONLY = "a token for a client; what the client does with it is not seen here"

ENDPOINTS: tuple[Endpoint, ...] = (
    # OpenAI: developers.openai.com/api/reference, as the openai SDK 3.57 has it (2026-11).
    *_rows(OPENAI, "chat", "chat/completions"),
    *_rows(OPENAI, "responses", "responses", "responses/compact"),
    *_rows(OPENAI, "text_completion", "completions"),
    *_rows(OPENAI, "embeddings", "embeddings"),
    *_rows(OPENAI, "image", "images/generations", "images/edits", "images/variations"),
    *_rows(OPENAI, "speech", "audio/speech"),
    *_rows(OPENAI, "transcription", "audio/transcriptions", "audio/translations"),
    *_rows(OPENAI, "video", "videos", "videos/edits", "videos/extensions", "videos/*/remix"),
    *_rows(OPENAI, "batch", "batches"),
    *_rows(OPENAI, "fine_tuning", "fine_tuning/jobs"),
    *_rows(OPENAI, "run", "threads/runs", "threads/*/runs", "threads/*/runs/*/submit_tool_outputs"),
    *_rows(OPENAI, "run", "evals/*/runs", "fine_tuning/alpha/graders/run", "decisions"),
    *_rows(OPENAI, "agent", "agents/sessions", "agents/sessions/*/events", "agents/automations/*/invocations"),
    *_rows(OPENAI, "agent", "realtime/calls", "realtime/calls/*/accept", "live/sessions", "live/sessions/*/accept"),
    *_rows(OPENAI, "agent", "live/sessions/*/fork"),
    *_free(OPENAI, "moderation is free of charge", "moderations"),
    *_free(OPENAI, _COUNTS, "responses/input_tokens"),
    *_free(
        OPENAI, "it checks, and generates nothing", "content_provenance_checks", "fine_tuning/alpha/graders/validate"
    ),
    *_free(OPENAI, _STORED, "files", "uploads", "uploads/*/complete", "uploads/*/parts", "containers/*/files"),
    *_free(OPENAI, _STORED, "conversations", "conversations/*", "conversations/*/items", "chat/completions/*"),
    *_free(OPENAI, _STORED, "threads", "threads/*", "threads/*/messages", "threads/*/messages/*", "threads/*/runs/*"),
    *_free(OPENAI, _STORED, "assistants", "assistants/*", "agents", "agents/*", "agents/environments"),
    *_free(OPENAI, _STORED, "agents/environments/templates", "agents/environments/templates/*"),
    *_free(OPENAI, _STORED, "agents/environments/*/files", "agents/automations", "agents/automations/*"),
    *_free(OPENAI, _STORED, "agents/sessions/*", "evals", "evals/*", "skills", "skills/*", "skills/*/versions"),
    *_free(OPENAI, _STORED, "audio/voice_consents", "audio/voice_consents/*", "audio/voices", "videos/characters"),
    *_free(OPENAI, _STORED, "vaults", "vaults/*", "vaults/*/credentials", "vaults/*/credentials/*"),
    *_free(OPENAI, _STORED, "webhook_endpoints", "webhook_endpoints/*"),
    *_free(OPENAI, "storage is billed by the day, whatever is called", "vector_stores", "vector_stores/*"),
    *_free(OPENAI, "storage is billed by the day, whatever is called", "vector_stores/*/files"),
    *_free(OPENAI, "storage is billed by the day, whatever is called", "vector_stores/*/files/*"),
    *_free(OPENAI, "storage is billed by the day, whatever is called", "vector_stores/*/file_batches"),
    *_free(OPENAI, "billed with the answers that use it", "containers"),
    *_free(OPENAI, _STATE, "responses/*/cancel", "batches/*/cancel", "uploads/*/cancel", "evals/*/runs/*/cancel"),
    *_free(OPENAI, _STATE, "fine_tuning/jobs/*/cancel", "fine_tuning/jobs/*/pause", "fine_tuning/jobs/*/resume"),
    *_free(OPENAI, _STATE, "threads/*/runs/*/cancel", "vector_stores/*/file_batches/*/cancel"),
    *_free(OPENAI, _STATE, "agents/automations/*/pause", "agents/automations/*/resume", "chatkit/sessions/*/cancel"),
    *_free(OPENAI, _STATE, "realtime/calls/*/hangup", "realtime/calls/*/refer", "realtime/calls/*/reject"),
    *_free(OPENAI, _STATE, "live/sessions/*/hangup", "live/sessions/*/refer", "live/sessions/*/reject"),
    *_free(OPENAI, _STATE, "webhook_endpoints/*/rotate_secret", "webhook_endpoints/*/test"),
    *_free(
        OPENAI, _CLIENT_ONLY, "realtime/client_secrets", "realtime/translations/client_secrets", "realtime/sessions"
    ),
    *_free(OPENAI, _CLIENT_ONLY, "realtime/sessions", "realtime/transcription_sessions", "chatkit/sessions"),
    # Anthropic: platform.claude.com/docs/en/api, as the anthropic SDK 2.14 has it (2026-11).
    *_rows(ANTHROPIC, "messages", "messages", "v1/messages"),
    *_rows(ANTHROPIC, "text_completion", "v1/complete"),
    *_rows(ANTHROPIC, "message_batch", "v1/messages/batches"),
    *_rows(ANTHROPIC, "agent", "v1/sessions", "v1/sessions/*/events", "v1/deployments/*/run", "v1/dreams"),
    *_free(ANTHROPIC, _COUNTS, "v1/messages/count_tokens"),
    *_free(ANTHROPIC, _STATE, "v1/messages/batches/*/cancel", "v1/dreams/*/archive", "v1/dreams/*/cancel"),
    *_free(ANTHROPIC, _STATE, "v1/sessions/*/archive", "v1/sessions/*/threads/*/archive", "v1/agents/*/archive"),
    *_free(ANTHROPIC, _STATE, "v1/deployments/*/archive", "v1/deployments/*/pause", "v1/deployments/*/unpause"),
    *_free(ANTHROPIC, _STATE, "v1/environments/*/archive", f"{_WORK}/*", f"{_WORK}/*/ack"),
    *_free(ANTHROPIC, _STATE, f"{_WORK}/*/heartbeat", f"{_WORK}/*/stop"),
    *_free(ANTHROPIC, _STATE, "v1/memory_stores/*/archive", "v1/memory_stores/*/memory_versions/*/redact"),
    *_free(ANTHROPIC, _STATE, "v1/vaults/*/archive", "v1/vaults/*/credentials/*/archive", "v1/tunnels/*/archive"),
    *_free(ANTHROPIC, _STATE, "v1/vaults/*/credentials/*/mcp_oauth_validate", "v1/tunnels/*/certificates/*/archive"),
    *_free(ANTHROPIC, _STORED, "v1/agents", "v1/agents/*", "v1/deployments", "v1/deployments/*", "v1/environments"),
    *_free(ANTHROPIC, _STORED, "v1/environments/*", "v1/files", "v1/memory_stores", "v1/memory_stores/*"),
    *_free(ANTHROPIC, _STORED, "v1/memory_stores/*/memories", "v1/memory_stores/*/memories/*", "v1/sessions/*"),
    *_free(ANTHROPIC, _STORED, "v1/sessions/*/resources", "v1/sessions/*/resources/*", "v1/skills"),
    *_free(ANTHROPIC, _STORED, "v1/skills/*/versions", "v1/vaults", "v1/vaults/*", "v1/vaults/*/credentials"),
    *_free(ANTHROPIC, _STORED, "v1/vaults/*/credentials/*", "v1/user_profiles", "v1/user_profiles/*", "v1/tunnels"),
    *_free(ANTHROPIC, _STATE, "v1/compliance/review/cases/*/respond"),
    *_free(ANTHROPIC, _STORED, "v1/user_profiles/*/providers/google/data_controls"),
    *_free(ANTHROPIC, _CLIENT_ONLY, "v1/user_profiles/*/action_urls", "v1/user_profiles/*/enrollment_url"),
    *_free(
        ANTHROPIC, _CLIENT_ONLY, "v1/tunnels/*/certificates", "v1/tunnels/*/reveal_token", "v1/tunnels/*/rotate_token"
    ),
)

_ADMINISTRATION = {OPENAI: ("organization", "projects"), ANTHROPIC: ("organizations",)}
"""First segments (after a version) under which there is administration only."""


def endpoint_of(method: str, url: str, provider: str = "") -> Endpoint | None:
    """The row of a request to a model API; None where it cannot cost (no POST).

    `provider` is the SDK that sends it; empty: whichever of them. An endpoint that the table does not know has the
    operation `UNKNOWN`.
    """
    return _find(url.partition("?")[0].rstrip("/"), provider) if method.lower() == "post" else None


@lru_cache(maxsize=2_048)
def _find(path: str, provider: str) -> Endpoint:
    absolute = "://" in path  # its host is no segment, and what is before the path is a gateway's own
    segments = path.partition("://")[2].split("/")[1:] if absolute else path.strip("/").split("/")
    providers = (provider,) if provider in _ADMINISTRATION else (OPENAI, ANTHROPIC)
    for length in range(min(len(segments), _LONGEST), 0, -1):
        tail = segments[-length:]
        for one in providers:
            for row, pattern in _BY_LENGTH.get((one, length), ()):
                fits = all(want in ("*", found) for want, found in zip(pattern, tail, strict=True))
                if fits and (row.operation or absolute or _PREFIX.issuperset(segments[:-length])):
                    return row
    first = next((one for one in segments if one != "v1"), "")
    for one in providers:
        if first in _ADMINISTRATION[one] or any(segment == "organization" for segment in segments[:3]):
            return Endpoint(one, path, free=_ADMIN)
    return Endpoint(provider, path, UNKNOWN)


def _by_length() -> Mapping[tuple[str, int], list[tuple[Endpoint, tuple[str, ...]]]]:
    found: dict[tuple[str, int], list[tuple[Endpoint, tuple[str, ...]]]] = {}
    for row in ENDPOINTS:
        pattern = tuple(row.path.split("/"))
        # Rows with fewer wildcards first: `threads/runs` before `threads/*`.
        rows = found.setdefault((row.provider, len(pattern)), [])
        rows.append((row, pattern))
        rows.sort(key=lambda one: one[1].count("*"))
    return found


_BY_LENGTH = _by_length()
_LONGEST = max(length for _, length in _BY_LENGTH)
