"""Forms (`multipart/form-data`): by which recordings and images are sent."""

import re

_NAME = re.compile(rb'[; ]name="([^"\r\n]{1,200})"', re.IGNORECASE)
_MOST = 64
"""Fields that are looked at."""


def form_fields(content: bytes) -> dict[str, str | bytes] | None:
    """The fields of a form by name, a file as its bytes; None where the content is none."""
    boundary, _, _ = content.partition(b"\r\n")
    if not boundary.startswith(b"--"):
        return None
    found: dict[str, str | bytes] = {}
    for part in content.split(boundary, _MOST)[1:]:
        head, _, value = part.partition(b"\r\n\r\n")
        named = _NAME.search(head)
        if named is None:
            continue
        value = value.removesuffix(b"\r\n")
        is_file = b"filename=" in head.lower() or b"filename*=" in head.lower()
        found[named[1].decode(errors="replace")] = value if is_file else value.decode(errors="replace")
    return found or None
