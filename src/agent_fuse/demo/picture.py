"""The live picture of the demonstration: a spend bar, counters, and the last things that happened."""

from collections import deque
from collections.abc import Callable
from decimal import Decimal

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from agent_fuse.accounting.call_request import Event
from agent_fuse.calls import Status, show_usd, to_nanos

_LINES = 9


class Picture:
    """Draws what the fuse tells of, live in a terminal, line by line elsewhere."""

    def __init__(
        self, console: Console, budget: Decimal, on_frame: Callable[[RenderableType], None] | None = None
    ) -> None:
        self._console = console
        self._on_frame = on_frame
        self._budget = to_nanos(budget)
        self._spent = 0
        self._booked = 0
        self._refused = 0
        self._tools = 0
        self._title = ""
        self._lines: deque[Text] = deque(maxlen=_LINES)
        self._live = Live(console=console, auto_refresh=False, transient=False)

    def scene(self, title: str) -> None:
        """A new agent begins, with money of its own."""
        self.close()
        self._title = title
        self._spent = self._booked = self._refused = self._tools = 0
        self._lines.clear()
        if self._console.is_terminal:
            self._live = Live(console=self._console, auto_refresh=False)
            self._live.start()
        else:
            self._console.print(Text(title, style="bold"))

    def close(self) -> None:
        """Leave the last picture standing."""
        if self._live.is_started:
            self._live.stop()

    def happened(self, event: Event) -> None:
        """A call was booked or refused, or a tool is about to be stuck."""
        entry = event.entry
        if event.nudge:
            self.say("nudge ", "yellow", event.nudge.partition(".")[0] + ".")
        elif entry.status is Status.REFUSED:
            self._refused += 1
            self.say("TRIP  ", "bold red", event.trip.message if event.trip is not None else entry.reason)
        elif entry.tool:
            self._tools += 1
            self.say("tool  ", "cyan", f"{entry.tool} ran, call {self._tools}")
        else:
            self._booked += 1
            self._spent += entry.cost
            tokens = f"{entry.input_tokens:,} + {entry.output_tokens:,} tokens"
            self.say("model ", "green", f"{entry.model} answered: {tokens}, {show_usd(entry.cost)}")

    def say(self, word: str, style: str, text: str) -> None:
        """One more line of what happened."""
        line = Text.assemble((word, style), text, overflow="ellipsis", no_wrap=self._console.is_terminal)
        self._lines.append(line)
        if self._on_frame is not None:
            self._on_frame(self._draw())
        if self._live.is_started:
            self._live.update(self._draw(), refresh=True)
        else:
            self._console.print(line)

    def _draw(self) -> RenderableType:
        share = self._spent / self._budget
        colour = "green" if share < 0.5 else "yellow" if share < 0.9 else "red"  # noqa: PLR2004  thirds of a traffic light
        bar = Table.grid(padding=(0, 1), expand=True)
        bar.add_column(width=7)
        bar.add_column(ratio=1)
        bar.add_column(justify="right", width=20)
        bar.add_row(
            "spent",
            ProgressBar(total=self._budget, completed=min(self._spent, self._budget), complete_style=colour),
            f"{show_usd(self._spent)} of {show_usd(self._budget)}",
        )
        counters = Text.assemble(
            "calls booked ", (f"{self._booked}", "bold green"), "   tools run ", (f"{self._tools}", "bold cyan"),
            "   refused ", (f"{self._refused}", "bold red"),
        )  # fmt: skip
        empty = [Text("")] * (_LINES - len(self._lines))
        return Panel(
            Group(bar, counters, Text(""), *self._lines, *empty), title=self._title, title_align="left", padding=(0, 1)
        )
