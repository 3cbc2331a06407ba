"""What a guarded process is guarded against, in one line for whoever started it."""

import importlib.metadata
from collections.abc import Iterator
from importlib.util import find_spec

from agent_fuse.fuse import Fuse
from agent_fuse.ledgers.kinds import shown
from agent_fuse.otel import instrumentor, langchain_tools, sdk_sources, wire_install
from agent_fuse.otel.blind import blind_at_start
from agent_fuse.otel.saying import words_of


def words(fuse: Fuse) -> str:
    """Limits, ledger, and what is seen of the libraries that are installed."""
    doing = "only observing, refusing nothing:" if fuse.settings.observes else "guarding"
    return f"{doing} {'; '.join([words_of(fuse.limits), f'ledger {shown(fuse.settings.db_path)}', *_seen(fuse)])}"


def _seen(fuse: Fuse) -> Iterator[str]:
    gated: list[str] = []
    for sdk in instrumentor.SDKS:
        version = _version(sdk)
        problem = sdk_sources.problem(sdk) if version else ""
        if not fuse.settings.request_gate:
            problem = "request_gate is off"
        if problem:
            yield f"requests of {sdk} {version} NOT judged before they leave ({problem})"
        elif version:
            gated.append(f"{sdk} {version}")
    if gated:
        yield f"requests of {' and '.join(gated)}"
    roads = [one for one in wire_install.LIBRARIES if find_spec(one) is not None]
    if roads:
        on = fuse.settings.request_gate and fuse.settings.wire_gate
        no = " NOT judged (the wire gate is off)"
        yield f"model requests of any SDK over {', '.join(roads)}{'' if on else no}"
    if blind_at_start():
        yield "spans and tools NOT seen (OTEL_SDK_DISABLED)"
    elif langchain_tools.missing():
        yield f"tools of LangChain NOT seen (pip install {langchain_tools.INSTRUMENTATION})"
    elif langchain_tools.watched():
        yield "tools of LangChain"


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""
