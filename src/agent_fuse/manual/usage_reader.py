"""Usage as providers and frameworks report it: on response objects or dicts, whatever their field names."""

import logging
from dataclasses import dataclass

from agent_fuse.calls import Usage
from agent_fuse.usage_reader import later
from agent_fuse.wire import Reading, read_body

log = logging.getLogger("agent_fuse")


@dataclass(slots=True)
class ResponsesTold:
    """What responses have told of one call so far. Never raises an Exception for what a response is."""

    usage: Usage | None = None
    """The last word on what it used."""
    pieces: Usage | None = None
    """What the pieces of a stream have told, which may go on."""
    response_id: str = ""
    model: str = ""
    tier: str | None = None

    def take(self, response: object) -> bool:
        """Take what a whole response tells; whether it told its usage."""
        reading = self._read(response)
        self.usage = reading.usage or self.usage
        return reading.usage is not None

    def take_piece(self, piece: object) -> None:
        """Take what a piece of a streamed response tells, figures being cumulative."""
        usage = self._read(piece).usage
        if usage is not None:
            self.pieces = later(self.pieces, usage)

    def _read(self, response: object) -> Reading:
        reading = reading_of(response)
        self.response_id = reading.response_id or self.response_id
        self.model = reading.model or self.model
        self.tier = reading.tier or self.tier
        return reading


def reading_of(response: object) -> Reading:
    """What a response tells: usage, id, model. Nothing where it tells nothing; never raises an Exception.

    Read are OpenAI and Anthropic responses, LangChain messages, Gemini, Bedrock Converse, Cohere and Ollama answers, as
    objects or as dicts, and a `Usage` of your own.
    """
    reading = Reading()
    try:
        if isinstance(response, Usage):
            reading.usage = response
            return reading
        read_body(response, reading)
    except Exception:
        log.exception("a response could not be read for its usage; its call is booked by its quote")
    return reading
