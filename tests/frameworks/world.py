"""The world that a framework's program runs in: a model provider on loopback, one tool, and the guard's books."""

import asyncio
import gc
import itertools
import json
import os
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import agent_fuse
from agent_fuse.calls import Entry, Status, Usage
from agent_fuse.errors import SentinelError, is_soft, public_class
from agent_fuse.testing import LoopbackProvider, Reply, Request, ToolCall

MODEL = "gpt-4o"
USAGE = Usage(input_tokens=1000, output_tokens=500)
PRICES = (2_500, 10_000)
"""Nano-dollars for a token read, and for one written."""
NANOS = PRICES[0] * USAGE.input_tokens + PRICES[1] * USAGE.output_tokens
"""What one call costs: $0.0075."""
ANSWER = "The answer is 42."

Run = Callable[[], object]
AsyncRun = Callable[[], Awaitable[object]]


@dataclass
class World:
    """What programs and questions share."""

    provider: LoopbackProvider
    db_path: Path
    mode: str = "done"
    """What the model does: `done` answers; `once` calls the tool first; `runaway` calls it for ever, each time with
    other arguments; `loop` with the same ones."""
    answer: str = ANSWER
    """What it says in the end."""
    hand_over: Callable[[Request], Reply | None] = field(default=lambda _: None)
    """Whether it hands over to another agent."""
    tool: str = "lookup"
    final_tool: str = ""
    """The tool by which the model answers, where text will not do."""
    final_argument: str = "answer"
    react: bool = False
    """It speaks in DSPy's fields instead of tool calls."""
    bodies: int = 0
    """How often the tool ran."""
    _serial: Any = field(default_factory=lambda: itertools.count(1))

    def reply(self, request: Request) -> Reply:
        """The model's next answer."""
        handed = self.hand_over(request)
        if handed is not None:
            return handed
        number = next(self._serial)
        match self.mode:
            case "runaway":
                return self.call(f"question {number}")
            case "loop":
                return self.call("the same")
            case "once" if not _answered(request):
                return self.call("once")
        if self.react:
            return self.finish(request)
        if self.final_tool:
            return Reply(tool_calls=(ToolCall(name=self.final_tool, arguments={self.final_argument: self.answer}),))
        return Reply(text=self.answer)

    def call(self, about: str) -> Reply:
        """An answer that asks for the tool."""
        arguments = {"query": about}
        if self.react:
            return Reply(
                text=fields(next_thought="Hm.", next_tool_name=self.tool, next_tool_args=json.dumps(arguments))
            )
        return Reply(tool_calls=(ToolCall(name=self.tool, arguments=arguments),))

    def finish(self, request: Request) -> Reply:
        """DSPy's last two answers: that it is done, and the answer."""
        if "next_tool_name" in json.dumps(request.body["messages"][0]):
            return Reply(text=fields(next_thought="Done.", next_tool_name="finish", next_tool_args="{}"))
        return Reply(text=fields(reasoning="It is known.", answer=self.answer))

    def ask_first(self, tool: str, arguments: dict[str, str] | None = None, *, also: str = "") -> None:
        """Whoever is offered this tool calls it before anything else, once."""
        given = arguments or {"query": "What is the answer?"}

        def hand_over(request: Request) -> Reply | None:
            names = [one.get("function", one).get("name") for one in request.body.get("tools") or ()]
            if tool not in names or _answered(request):
                return None
            return Reply(tool_calls=tuple(ToolCall(name=one, arguments=given) for one in (tool, also) if one))

        self.hand_over = hand_over

    @property
    def base_url(self) -> str:
        return self.provider.openai_base_url

    def lookup(self, query: str) -> str:
        """Look something up.

        Args:
            query: What to look for.
        """
        self.bodies += 1
        return "nothing" if self.mode == "loop" else f"found {self.bodies} of {query}"


def fields(**told: str) -> str:
    return "\n\n".join(f"[[ ## {name} ## ]]\n{value}" for name, value in {**told, "completed": ""}.items())


def _answered(request: Request) -> bool:
    said = request.body.get("messages") or request.body.get("input") or ()
    text = json.dumps([one for one in said if not isinstance(one, dict) or one.get("role") != "system"])
    return any(
        sign in text
        for sign in ('"role": "tool"', "function_call_output", "tool_result", "observation_0", "Observation:")
    )


def world(db_path: Path) -> World:
    """A world whose provider serves; the environment names it."""
    provider = LoopbackProvider(usage=USAGE)
    provider.start()
    made = World(provider, db_path)
    provider.default = made.reply
    os.environ.update(OPENAI_API_KEY="none", OPENAI_BASE_URL=provider.openai_base_url)
    os.environ["OPENAI_API_BASE"] = provider.openai_base_url
    return made


def caught(work: Run) -> BaseException | None:
    """What reaches the caller."""
    try:
        work()
    except BaseException as error:
        return error
    return None


def named(error: BaseException | None) -> str:
    """What was caught, in words: the class, its form, and the trip inside where it is none itself."""
    if error is None:
        return "nothing"
    if isinstance(error, SentinelError):
        return f"{public_class(error).__name__} ({'Exception' if is_soft(error) else 'BaseException'})"
    inside = agent_fuse.trip_of(error) if hasattr(agent_fuse, "trip_of") else None
    words = type(error).__name__
    return f"{words} around {public_class(inside).__name__}" if inside is not None else f"{words}, without the trip"


def calls(entries: Iterable[Entry]) -> list[Entry]:
    """The model calls that were let go."""
    return [one for one in entries if one.status is not Status.REFUSED and one.operation != "execute_tool"]


def journal(processor: Any) -> list[Entry]:
    return list(processor.fuse.ledger.journal())


def rest(seconds: float = 0.3) -> None:
    """Let what was left behind go on, if anything was."""
    time.sleep(seconds)
    gc.collect()


def side_by_side(*works: Run) -> list[BaseException | None]:
    """Each in a thread of its own, at once."""
    found: list[BaseException | None] = [None] * len(works)

    def run(at: int, work: Run) -> None:
        found[at] = caught(work)

    threads = [threading.Thread(target=run, args=(at, work)) for at, work in enumerate(works)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    return found


def in_tasks(*works: AsyncRun) -> None:
    """Each in a task of its own, at once."""

    async def main() -> None:
        await asyncio.gather(*[asyncio.ensure_future(work()) for work in works])

    asyncio.run(main())
