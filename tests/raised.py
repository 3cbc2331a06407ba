"""Every exception class that the libraries around a model call export; `python tests/raised.py` writes them down.

Not every environment has all of them: what was written down once, of whichever were there, stands for the rest.
"""

import importlib
import inspect
import json
from importlib.metadata import version
from pathlib import Path

KEPT = Path(__file__).parent / "data" / "errors.json"

MODULES = {
    "openai": ("openai", "openai._exceptions"),
    "anthropic": ("anthropic", "anthropic._exceptions"),
    "httpx": ("httpx",),
    "httpcore": ("httpcore",),
    "httpx2": ("httpx2",),
    "httpcore2": ("httpcore2",),
    "h11": ("h11",),
    "h2": ("h2.exceptions",),
    "requests": ("requests", "requests.exceptions"),
    "urllib3": ("urllib3.exceptions",),
    "aiohttp": ("aiohttp", "aiohttp.client_exceptions", "aiohttp.http_exceptions"),
    "botocore": ("botocore.exceptions", "botocore.parsers", "botocore.eventstream"),
    "cohere": ("cohere", "cohere.core.api_error", "cohere.core.parse_error"),
    "mistralai": ("mistralai.client.errors",),
    "google-genai": ("google.genai.errors",),
    "google-api-core": ("google.api_core.exceptions",),
    "langchain-core": ("langchain_core.exceptions",),
    "langchain-openai": ("langchain_openai.chat_models.base",),
    "langchain-anthropic": ("langchain_anthropic.chat_models",),
    "pydantic-ai-slim": ("pydantic_ai.exceptions",),
}

LAZY = {"openai", "anthropic"}
"""Packages that load themselves whole when all they export is asked for."""


def exported(package: str) -> list[str]:
    """Names of the exception classes of one package, as far as it is installed; warnings are none."""
    found: set[str] = set()
    for name in MODULES[package]:
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        public = getattr(module, "__all__", ())
        for exposed in {*public, *vars(module)} if package not in LAZY else set(vars(module)):
            value = getattr(module, exposed, None)
            if inspect.isclass(value) and issubclass(value, BaseException) and not issubclass(value, Warning):
                home = value.__module__.partition(".")[0]
                if home == name.partition(".")[0] and not exposed.startswith("_") and value.__name__ == exposed:
                    found.add(exposed)
    return sorted(found)


def kept() -> dict[str, dict[str, list[str]]]:
    """What was written down: by package, by the release that it was read from."""
    return json.loads(KEPT.read_text())


if __name__ == "__main__":
    known = kept() if KEPT.exists() else {}
    for one in MODULES:
        if names := exported(one):
            known[one] = {version(one): names}
    KEPT.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
