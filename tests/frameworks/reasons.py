"""Why a cell of docs/frameworks.md is not green, and what to do: one footnote for each reason."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Reason:
    """One footnote, and the cells it stands at: all of what is given must fit (`words` is searched)."""

    key: str
    text: str
    columns: tuple[str, ...]
    frameworks: tuple[str, ...] = ()
    words: str = ""

    def fits(self, framework: str, column: str, word: str) -> bool:
        return (
            column in self.columns
            and (not self.frameworks or framework in self.frameworks)
            and re.search(self.words, word) is not None
        )


def reason(framework: str, column: str, word: str) -> Reason:
    """The first reason that fits.

    Raises:
        LookupError: nobody says why this cell is not green.
    """
    for one in REASONS:
        if one.fits(framework, column, word):
            return one
    raise LookupError(f"{framework} {column}: {word!r} is not green, and no reason says why")


REASONS: tuple[Reason, ...] = (
    Reason(
        key="own-guard",
        columns=("loop",),
        frameworks=("crewai",),
        words="^5 sent, ToolExecutionFailedError",
        text="CrewAI has a guard of its own against the same call with the same result, which acts one request earlier. With "
        "`loop_threshold=3` AgentFuse is first.",
    ),
    Reason(
        key="scopes",
        columns=("ends",),
        frameworks=("ag2",),
        words="closing of asynchronous generator",
        text="On anything that is no Exception (the same without AgentFuse, for any BaseException), AG2 leaves the scope of its turn "
        "to the garbage collector, which closes it when the event loop ends, with a word in the log. Nothing hangs.",
    ),
    Reason(
        key="loops",
        columns=("ends",),
        words="^(session|forms): never retrieved(; forms: never retrieved)?$",
        text="Not of a trip: one agent, and so one HTTP client, was run in several event loops, one after the other; its "
        "connections could not be closed in a loop that was gone, and Python says so.",
    ),
    Reason(
        key="no-name",
        columns=("streamed agent",),
        frameworks=("haystack",),
        words="^nobody$",
        text="An Agent of Haystack has no name but that of its component in a pipeline; here it ran alone. Name it with "
        '`agent_fuse.agent("researcher")`.',
    ),
    Reason(
        key="litellm-worker",
        columns=("ends",),
        frameworks=("google_adk",),
        words="^session: never retrieved; session: was destroyed but; beside: never retrieved$",
        text="LiteLLM keeps one logging worker for all event loops; where runs take turns in several, its task is left behind in "
        "the one that is gone, and Python says so. Nothing of a trip, and nothing hangs.",
    ),
)
