"""What the demonstration tells: a LangGraph agent in a tool loop, an OpenAI loop that swallows errors, and the bill."""

import json
import logging
import sys
import tempfile
import time
from collections.abc import Callable
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from agent_fuse import SentinelBudgetExceeded, SentinelLoopError, init, session
from agent_fuse.calls import Usage
from agent_fuse.testing import LoopbackProvider, Reply, Request, ToolCall

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

BUDGET = Decimal("0.25")
_PACE_SECONDS = 0.12
_MODEL = "gpt-4o"
_LOG = "FAILED tests/test_login.py::test_session - AssertionError: assert None == 'alice'\n" * 240
_ANSWER = "I see. Let me try once more with another approach to the session cookie. " * 45


def run(on_frame: "Callable[[RenderableType], None] | None" = None) -> int:
    """Run the demonstration. Returns the exit status: 0, or 2 when a package that it needs is missing.

    `on_frame` is given each picture as it is drawn.
    """
    try:
        for name in ("langchain.agents", "langchain_openai", "openai"):
            import_module(name)
        from rich.console import Console  # noqa: PLC0415

        from agent_fuse.demo.picture import Picture  # noqa: PLC0415
    except ImportError as missing:
        print(f"the demo needs {missing.name}: pip install 'agent-fuse[demo]'", file=sys.stderr)
        return 2
    console = Console(highlight=False, soft_wrap=True)
    console.print(
        "AgentFuse: the circuit breaker for AI agents. The model provider below is a fake on this machine;\n"
        "the agents, the SDKs, the HTTP and the prices are real.\n"
    )
    folder = Path(tempfile.mkdtemp(prefix="agent-fuse-demo-"))
    picture = Picture(console, BUDGET, on_frame)
    logging.getLogger("agent_fuse").addHandler(logging.NullHandler())  # the picture tells the same
    with LoopbackProvider() as provider:
        processor = init(budget=BUDGET, db_path=str(folder / "ledger.db"))
        processor.fuse.listen(picture.happened)
        picture.scene("1  A LangGraph agent fixes the same typo for ever")
        first = _tool_loop(provider, picture)
        picture.scene("2  A loop that swallows every Exception, all night")
        second = _budget_loop(provider, picture)
        picture.close()
        late = provider.count - first - second
        console.print(f"\nThe provider's own count: {first} + {second} requests, {late} after a trip.\n")
        processor.fuse.ledger.close()
    _bill(console, folder)
    return 0


def _tool_loop(provider: LoopbackProvider, picture: Any) -> int:
    """An agent whose model asks for the same tool call again and again. Returns the requests it made."""
    from langchain_core.tools import tool  # noqa: PLC0415
    from langchain_openai import ChatOpenAI  # noqa: PLC0415

    @tool
    def edit_file(path: str, old: str, new: str) -> str:
        """Replace a text in a file."""
        return f"{path}: {old!r} not found, nothing replaced with {new!r}"

    call = ToolCall(name="edit_file", arguments={"path": "README.md", "old": "teh", "new": "the"})
    provider.default = Reply(
        tool_calls=(call,), usage=Usage(input_tokens=1200, output_tokens=60), delay_s=_PACE_SECONDS
    )
    model = ChatOpenAI(model=_MODEL, base_url=provider.openai_base_url, api_key=cast("Any", "fake-key"))
    agent: Any = import_module("langchain.agents").create_agent(model, tools=[edit_file])
    with session("typo-agent"):
        try:
            agent.invoke({"messages": [("user", "Fix the typo.")]}, {"recursion_limit": 10_000})
        except SentinelLoopError as trip:
            picture.say("caught", "bold", f" SentinelLoopError: {trip.signature}")
    return provider.count


def _budget_loop(provider: LoopbackProvider, picture: Any) -> int:
    """The loop that costs 500 dollars overnight. Returns the requests it made."""
    import openai  # noqa: PLC0415

    before = provider.count

    def bill(request: Request) -> Reply:
        tokens = len(json.dumps(request.body["messages"])) // 4
        return Reply(text=_ANSWER, usage=Usage(input_tokens=tokens, output_tokens=900), delay_s=_PACE_SECONDS)

    provider.default = bill
    messages: Any = [{"role": "user", "content": "Make the tests pass.\n" + _LOG}]
    with session("night-shift"), openai.OpenAI(base_url=provider.openai_base_url, api_key="fake-key") as client:
        try:
            while True:
                try:
                    answer = client.chat.completions.create(model=_MODEL, messages=messages, max_tokens=900)
                    messages.append(answer.choices[0].message.to_dict())
                    raise AssertionError("the tests still fail")  # noqa: TRY301  so ends every turn of the loop
                except Exception:  # noqa: BLE001, S112  the very mistake that a fuse is for
                    continue
        except SentinelBudgetExceeded as trip:
            picture.say("caught", "bold", f" SentinelBudgetExceeded, past `except Exception`: {trip.limit}")
    return provider.count - before


def _bill(console: "Console", folder: Path) -> None:
    """What the ledger holds, as `agent-fuse status` and `agent-fuse report` show it to anybody."""
    from agent_fuse.cli.status import print_standings  # noqa: PLC0415
    from agent_fuse.ledgers.reading import Selection, open_reader  # noqa: PLC0415
    from agent_fuse.report import gather, page  # noqa: PLC0415
    from agent_fuse.views.limit_status import known_caps, standings  # noqa: PLC0415

    reader = open_reader(folder / "ledger.db")
    refused = reader.refused(Selection())
    print_standings(
        console, standings(reader, known_caps(reader, {}), now=time.time(), limit=10, refused=refused).shown
    )
    report = folder / "report.html"
    report.write_text(page(gather(reader, {}, now=time.time())), encoding="utf-8")
    console.print(f"\nLedger  {folder / 'ledger.db'}\nReport  {report}")
