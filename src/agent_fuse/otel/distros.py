"""The OpenTelemetry distro that comes up where ours has given way."""

from importlib.metadata import entry_points

from opentelemetry.instrumentation.distro import BaseDistro, DefaultDistro  # type: ignore[attr-defined]


def next_distro(*, but: str, wanted: str | None) -> BaseDistro:
    """The first distro that is installed, or the one that is wanted; OpenTelemetry's own default where there is none.

    Args:
        but: name of the entry point to leave out.
    """
    for entry in entry_points(group="opentelemetry_distro"):
        if entry.name != but and wanted in {None, entry.name}:
            found = entry.load()()
            if isinstance(found, BaseDistro):
                return found
    return DefaultDistro()
