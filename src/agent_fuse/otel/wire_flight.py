"""A request that was judged on the wire, by what it says and to whom, whichever library sends it."""

from collections.abc import Mapping
from typing import Any, cast

from agent_fuse import foreign_text
from agent_fuse.calls import Usage, count, fields_of
from agent_fuse.otel.gate import CallSite
from agent_fuse.otel.request_gate import Flight
from agent_fuse.otel.response import AnswerReader, Observe
from agent_fuse.wire import asks_for_usage
from agent_fuse.wire_formats import WholeBody, WireFormat, model_in


class WireFlight(Flight):
    """One such request under way. Its answer is read by the table of its protocol, whole or as it streams."""

    _alterable = False

    def __init__(self, form: WireFormat, provider: str, url: str, sender: object, observe: Observe) -> None:
        super().__init__(provider)
        self._url = url
        self._form = form
        self._observe = observe
        self.sender = sender
        """Whose method sends it."""
        self._headers: Mapping[str, str] = {}

    def judge_sent(self, site: CallSite, operation: str, path: str, body: object, size: int | None) -> None:
        """It is about to be sent: refuse it or let it go.

        Raises:
            SentinelError: soft where LangChain's model layer is above, else hard.
        """
        self._fuse = site.fuse
        fields: Mapping[str, Any] = cast("Mapping[str, Any]", body) if isinstance(body, Mapping) else {}
        words = self._form.words(fields)
        named = words.get("model", fields.get("model"))
        model = named if isinstance(named, str) and named else model_in(path)
        if operation in ("chat", "image") and "embed" in model:  # at Bedrock and Vertex the path tells no more
            operation = "embeddings"
        self._in_background = fields.get("background") is True
        self._wants_text = (
            not self._form.streams_usage and operation in ("chat", "text_completion") and not asks_for_usage(fields)
        )
        self._open(site, operation, model, words, size)

    def answered(self, response: Any) -> None:
        """A response is here; a whole body is booked now."""
        if self.is_over:  # another attempt was seen after it, which is answered
            return
        self._headers = response.headers
        if self._form.tier_header and (tier := self._headers.get(self._form.tier_header)):
            self._reading.tier = tier.lower()
        super().answered(response)
        if self._content is None:
            return
        try:
            self._read_content(self._content)
        except Exception as error:  # noqa: BLE001  what was paid for is booked, whatever fails of ours
            self._lost(error)
        else:
            self._finish(broken=False)

    def _reader(self, content_type: str) -> AnswerReader:
        if content_type.partition(";")[0].strip() == "application/json" and not self._form.streams_json:
            return WholeBody(self._read_content)
        counts = self._counts or self._wants_text
        return self._form.reader(self._reading, content_type, count_text=counts)

    def _total(self, body: object) -> Usage | None:
        """Of embeddings and reranking some tell a total alone (Voyage): all of it is input."""
        if self._operation not in ("embeddings", "rerank") or (usage := fields_of(body)("usage")) is None:
            return None
        total = count(fields_of(usage)("total_tokens"))
        return None if total is None else Usage(input_tokens=total, output_tokens=0)

    def _read_content(self, content: bytes) -> None:
        try:
            body: object = foreign_text.read_json(content)
        except ValueError:  # a stream that its client read at once
            reader = self._form.reader(
                self._reading, self._headers.get("content-type", ""), count_text=self._wants_text
            )
            reader.feed(content)
            reader.close()
        else:
            if not self._form.whole(body, self._reading):
                self._reading.usage = self._form.in_headers(self._headers) or self._total(body)
