"""A file that an option names: what is in it, or in one line why that cannot be had."""

from os import PathLike, fspath
from pathlib import Path

from agent_fuse.errors import ConfigurationError


def content(path: str | PathLike[str], option: str) -> bytes:
    """The bytes of a file, `~` expanded; `option` is what named it. Raises ConfigurationError."""
    name = fspath(path)
    try:
        return Path(name).expanduser().read_bytes()
    except FileNotFoundError:
        raise ConfigurationError(f"{option} is {name!r}, and there is no such file") from None
    except OSError as error:
        raise ConfigurationError(f"{option} is {name!r}, which cannot be read: {error.strerror}") from None
    except (RuntimeError, ValueError) as error:  # `~nobody`; a NUL
        raise ConfigurationError(f"{option} is {name!r}, which is no path: {str(error).rstrip('.')}") from None


def decoded(found: bytes) -> str:
    """The text of a file, without the mark that Windows' editors begin it with. Raises ValueError: it is no UTF-8."""
    try:
        return found.decode("utf-8-sig")
    except UnicodeDecodeError as bad:
        line = found.count(b"\n", 0, bad.start) + 1
        raise ValueError(f"line {line} is no text in UTF-8 ({bad.reason}); save the file as UTF-8") from None
