"""What an error says about its request in words, where its class says nothing: a status, or how far it came."""

import re
from collections.abc import Iterator

_STATUS = re.compile(
    r"(?:Error code: |\bstatus_code: ?|\bstatus: |\(status code: |\bStatus |HTTP Error |(?:Client|Server) error ')"
    r"([345]\d\d)\b"  # openai and anthropic, pydantic-ai and cohere, ollama, mistralai, urllib, httpx
    r"|(?:\A|\w\(['\"])[345]\d\d(?: [A-Z]|, message=)"  # google-genai, google-api-core, requests, aiohttp; in a repr
    r"|\A<HTTPError [345]\d\d: "  # the repr of urllib's
)
_TOLD = re.compile(r"Error code: [345]\d\d\b|\bstatus_code: ?[345]\d\d\b")
"""The words of SDKs alone, which others who hand an error on repeat."""
_REFUSED = re.compile(
    r"An error occurred \(\w+\) when calling the \w+ operation"  # botocore
    r"|StatusCode\.(?:INVALID_ARGUMENT|UNAUTHENTICATED|PERMISSION_DENIED|NOT_FOUND|RESOURCE_EXHAUSTED"
    r"|FAILED_PRECONDITION|UNIMPLEMENTED|OUT_OF_RANGE|ALREADY_EXISTS)\b"  # grpc
)
_CAUSED = re.compile(r"\(Caused by (\w+)\(")
"""How urllib3 and requests name what went wrong."""
_SENT = re.compile(
    r"Connection aborted|[Cc]onnection reset|RemoteDisconnected|[Rr]ead timed out|Broken pipe|[Ss]erver disconnected"
    r"|IncompleteRead|peer closed connection"
)
_UNSENT = re.compile(
    r"NewConnectionError|NameResolutionError|ConnectTimeoutError|Failed to establish|[Cc]onnection refused"
    r"|(?:Cannot|Failed to|[Uu]nable to) connect to|Name or service not known|nodename nor servname|name resolution"
    r"|getaddrinfo failed|No route to host|Network is unreachable|CERTIFICATE_VERIFY_FAILED"
    r"|All connection attempts failed"
)

_FRAMES = re.compile(r"^[ \t].*\n(?![ \t])(?P<name>[A-Za-z_][\w.]*)(?P<words>[^\n]*)", re.MULTILINE)
_LINK = re.compile(
    r"\n\n(The above exception was the direct cause of the following exception:"
    r"|During handling of the above exception, another exception occurred:)\n\n"
)


def bare(name: str) -> str:
    """A class name without its module."""
    return name.rpartition(".")[2]


def error_status(words: str) -> bool:
    """Whether they tell of an answer with an error status, in the way of any library."""
    return _STATUS.search(words) is not None or _REFUSED.search(words) is not None


def told_status(words: str) -> bool:
    """Whether they tell of an error status in the words of a model's SDK."""
    return _TOLD.search(words) is not None


def caused_by(words: str) -> str:
    """The class that they name as the cause; empty where they name none."""
    found = _CAUSED.search(words)
    return found.group(1) if found is not None else ""


def was_sent(words: str) -> bool | None:
    """Whether the request may have been sent whole; None where they do not tell."""
    if _SENT.search(words) is not None:
        return True
    return False if _UNSENT.search(words) is not None else None


def chain(trace: str) -> Iterator[tuple[str, str, bool]]:
    """The errors that a printed traceback shows, from the one that was raised last to what it came from.

    Yields:
        Class, message, and whether the one before was raised *from* it, rather than while it was handled.
    """
    parts = _LINK.split(trace)
    explicit = True
    for number in range(len(parts) - 1, -1, -2):
        found = _FRAMES.search(parts[number])
        if found is not None:
            yield bare(found["name"]), found["words"].removeprefix(": "), explicit
        explicit = number > 0 and parts[number - 1].startswith("The above")
