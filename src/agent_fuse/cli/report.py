"""`agent-fuse report`: one HTML file of what was spent and what was stopped."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent_fuse.cli import clock
from agent_fuse.cli.options import Db, Json, Since, Until, reader
from agent_fuse.cli.show import clean, emit
from agent_fuse.errors import ConfigurationError
from agent_fuse.views import as_json
from agent_fuse.views.as_json import iso, usd
from agent_fuse.views.asked_period import period

if TYPE_CHECKING:
    from agent_fuse.report.tally import ReportLine


def report(
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Where to write it; - is standard output.")
    ] = Path("agent-fuse-report.html"),
    db: Db = None,
    since: Since = None,
    until: Until = None,
    json: Json = False,
) -> None:
    """Write one HTML file of what was spent and what was stopped.

    Spend over time, by model, agent, session and tool, refusals and why, and what was saved. The file needs no network.

    With --json the sums are printed instead, and no file is written.
    """
    from agent_fuse.report import gather, page  # noqa: PLC0415 - other commands do without

    now = clock.now()
    begin, end = period(since, until, now=now)
    found = gather(reader(db), os.environ, now=now, since=begin, until=end)
    if json:
        tally = found.tally
        emit(
            "report",
            first=iso(found.first) if found.last else None,
            last=iso(found.last) if found.last else None,
            total=_line(tally.total),
            **{
                group: [{"name": name, **_line(line)} for name, line in sorted(lines.items())]
                for group, lines in (
                    ("models", tally.models),
                    ("agents", tally.agents),
                    ("sessions", tally.sessions),
                    ("tools", tally.tools),
                    ("reasons", tally.reasons),
                )
            },
            refused=[as_json.refusals(one) for one in found.refused],
            loops=[
                {
                    "session": session,
                    "agent": agent,
                    "tool": tool,
                    "refused": loop.count,
                    "first": iso(loop.first),
                    "last": iso(loop.last),
                }
                for (session, agent, tool), loop in sorted(tally.loops.items())
            ],
        )
        return
    html = page(found)
    if str(output) == "-":
        sys.stdout.write(html)
        return
    try:
        output.write_text(html, "utf-8")
    except OSError as error:
        raise ConfigurationError(f"--output {output}: {error.strerror}; name a file that can be written") from None
    sys.stdout.write(f"{clean(str(output))}\n")


def _line(line: "ReportLine") -> dict[str, Any]:
    return {
        "cost_usd": usd(line.cost),
        "fees_usd": usd(line.fees),
        "saved_usd": usd(line.saved),
        "estimated_usd": usd(line.estimated),
        "calls": line.calls,
        "tool_calls": line.tool_calls,
        "refused": line.refused,
        "input_tokens": line.input_tokens,
        "output_tokens": line.output_tokens,
    }
