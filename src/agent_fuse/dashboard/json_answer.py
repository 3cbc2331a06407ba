"""A JSON answer that any text of a ledger fits in."""

import json
from typing import Any

from starlette.responses import Response


class JsonAnswer(Response):
    """In ASCII, as the event stream is: half a character (a lone surrogate, of a shell's odd byte) is an escape."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """See Starlette."""
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")
