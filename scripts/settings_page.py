"""Writes docs/settings.md from the table of options, or prints it: `python scripts/settings_page.py [--write]`."""

import sys
from pathlib import Path

from agent_fuse.options import OPTIONS

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"

HEAD = """# Settings

Each option is an argument of `agent_fuse.init(…)` and `AgentFuseSpanProcessor(…)`. What is not given there is read from
its environment variable, and what is not set there has its default. A bad value fails at start, and so does a misspelt
option or `AGENTFUSE_*` variable.

Limits given without a budget stand alone: the default budget holds only where nothing else limits.

| argument | environment | default | what it is |
|---|---|---|---|
"""


def page() -> str:
    """The page as Markdown."""
    cells = ((f"`{one.name}`", f"`{one.variable}`" if one.env else "", shown(one.default), one.doc) for one in OPTIONS)
    return HEAD + "".join(f"| {' | '.join(row)} |\n" for row in cells)


def shown(default: object) -> str:
    """A default as a person writes it; empty where there is none."""
    match default:
        case None | "" | ():
            return ""
        case bool():
            return f"`{str(default).lower()}`"
        case tuple():
            return f"`{','.join(str(one) for one in default)}`"
        case float():
            return f"`{default:g}`"
        case _:
            return f"`{default}`" if default else ""


if __name__ == "__main__":
    if "--write" in sys.argv[1:]:
        PAGE.write_text(page())
    else:
        print(page(), end="")
