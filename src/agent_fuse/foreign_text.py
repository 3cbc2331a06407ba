"""Text from outside: made safe where it is shown (a line, a command, JSON, a cell of CSV), and read where it is JSON.

Names of models, tools, sessions and agents come from whoever fills them in: a model, a web request, a tool server.
What a terminal or a log would obey (control characters, escape sequences), what hides or turns round what stands there
(marks of direction, zero-width characters) and what begins another line is written as an escape. The books keep it as
it was, but for what is no text: a lone surrogate, which JSON can tell, is half a character, and no database keeps it.
"""

import json
import re
import shlex
from collections.abc import Callable
from decimal import Decimal
from typing import Any

MOST_OF_NAME = 200
"""Characters of a name that a message shows."""
MOST_OF_LINE = 4_000
"""Characters of a message."""

_DEEP = "it is nested too deep"
"""What is said of JSON and TOML that go deeper than their parsers do."""
_FIRST = json.JSONDecoder().raw_decode

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?", re.ASCII)
_FORMULA = re.compile(r"(^|;)(?=[\s\"']*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20])")
"""Where a spreadsheet would take what follows for a formula; many of them part cells at semicolons too."""
_HALF = re.compile("[\ud800-\udfff]")
_ASCII = 0x80
_ODD_BYTES = range(0xDC80, 0xDD00)
"""What Python makes of a byte that is no UTF-8: bytes 0x80 to 0xFF."""


def inline(text: str, most: int = MOST_OF_LINE) -> str:
    """The text on one line, cut to `most` characters; what is not printable is an escape, as in Python."""
    if len(text) > most:
        text = f"{text[: most - 1]}…"
    return text if text.isprintable() else _escaped(text)


def name(text: str) -> str:
    """A name as a message shows it."""
    return inline(text, MOST_OF_NAME)


def quoted(text: str) -> str:
    """The same in quotes, as Python writes a text."""
    return repr(text if len(text) <= MOST_OF_NAME else f"{text[: MOST_OF_NAME - 1]}…")


def escaped(text: str) -> str:
    """As `inline`, however long it is."""
    return text if text.isprintable() else _escaped(text)


def unbroken(text: str) -> str:
    """The text as the books keep it: U+FFFD stands for each half of a character."""
    return text if text.isascii() else _HALF.sub("\ufffd", text)


def shell_word(text: str) -> str:
    """One word of a command, which a shell reads as this very text; `$'…'` (bash, zsh, ksh) where it needs escapes."""
    if text.isprintable():
        return shlex.quote(text)
    return f"$'{''.join(_of_shell(one) for one in text)}'"


def in_json(encoded: str) -> str:
    """JSON as its encoder wrote it without `ensure_ascii`: what is not printable in its texts becomes an escape."""
    if encoded.isprintable():
        return encoded
    # The encoder has escaped the line feeds in texts: those that are left are the layout's.
    return "".join(one if one == "\n" or one.isprintable() else json.dumps(one)[1:-1] for one in encoded)


def csv_cell(value: str | int | None) -> str | int | None:
    """A cell that no spreadsheet takes for a formula: `'` stands before what begins like one. Numbers stay numbers."""
    if not isinstance(value, str) or _NUMBER.fullmatch(value):
        return value
    return escaped(_FORMULA.sub(r"\1'", value))


def _escaped(text: str) -> str:
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def _of_shell(one: str) -> str:
    code = ord(one)
    if one in "\\'":
        return f"\\{one}"
    if one.isprintable():
        return one
    if code < _ASCII or code in _ODD_BYTES:
        return f"\\x{code & 0xFF:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004


def read_json(text: str | bytes | bytearray, *, exact: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    """What a text holds; with `exact`, which makes its objects, fractions are Decimals. Raises ValueError."""
    try:
        if exact is None:
            return json.loads(text)
        return json.loads(text, parse_float=Decimal, object_pairs_hook=exact)
    except RecursionError:
        raise ValueError(_DEEP) from None


def first_json(text: str) -> tuple[Any, int]:
    """The document that a text begins with, and where it ends. Raises ValueError."""
    try:
        return _FIRST(text)
    except RecursionError:
        raise ValueError(_DEEP) from None


def read_toml(text: str, *, fraction: Callable[[str], Any] = Decimal) -> dict[str, Any]:
    """The table that a text is; `fraction` makes its numbers with a point. Raises ValueError."""
    import tomllib  # noqa: PLC0415  few have files of limits or prices

    try:
        return tomllib.loads(text, parse_float=fraction)
    except RecursionError:
        raise ValueError(_DEEP) from None
