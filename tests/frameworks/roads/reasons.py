"""Why a cell of the table of roads is not green: one footnote for each reason."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Reason:
    """One footnote, and the cells it stands at: all of what is given must fit (`words` is searched)."""

    key: str
    text: str
    programs: str = ""
    provider: str = ""
    words: str = ""

    def fits(self, program: str, provider: str, words: str) -> bool:
        return (
            re.search(self.programs, program) is not None
            and self.provider in ("", provider)
            and re.search(self.words, words) is not None
        )


def reason(program: str, provider: str, column: str, words: str) -> Reason:
    """The first reason that fits.

    Raises:
        LookupError: nobody says why this cell is not green.
    """
    for one in REASONS:
        if one.fits(program, provider, words):
            return one
    raise LookupError(f"{program} to {provider}, {column}: {words!r} is not green, and no reason says why")


REASONS: tuple[Reason, ...] = (
    Reason(
        key="untold-embeddings",
        provider="gemini",
        words="^1 sent, by quote$",
        text="Gemini tells no usage with embeddings; they are booked at their quote, which counts the text.",
    ),
    Reason(
        key="untold-embeddings-sdk",
        programs="^sdks",
        provider="google-genai",
        words="^1 sent, by quote$",
        text="Gemini tells no usage with embeddings; they are booked at their quote, which counts the text.",
    ),
    Reason(
        key="no-options",
        programs="^sdks",
        provider="together",
        words="^1 sent, by counted$",
        text="The provider on loopback tells a stream's usage only to whoever asks for it, which this release cannot. What came is "
        "counted.",
    ),
    Reason(
        key="old-mistral",
        programs="^sdks_old$",
        provider="mistralai",
        words="exact, then ValidationError$",
        text="This release wants a field of embeddings that the provider on loopback does not send: its own error, after the answer.",
    ),
    Reason(
        key="cohere-lines",
        programs="^litellm",
        provider="cohere",
        words="then (Mid|HTTP|500)",
        text="This LiteLLM does not understand the lines of Cohere's v2 streams and leaves them with an error of its own, guarded "
        "or not. The call stays held, and is booked when the answer that was left is collected.",
    ),
)
