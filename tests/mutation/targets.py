"""What is mutated, and where the figures are kept."""

from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"
PACKAGE = SOURCE / "agent_fuse"
WORK = ROOT / ".mutation"
EXCUSED = Path(__file__).parent / "excused.txt"
"""Survivors, each with the reason why no test could tell: `name  # reason`."""

MODULES = (
    "fuse.py",
    "sightings/*.py",
    "limits.py",
    "loops/*.py",
    "accounting/*.py",
    "ledgers/*.py",
    "otel/span_gates.py",
    "otel/request_gate.py",
    "otel/callbacks.py",
    "otel/gate.py",
    "otel/open_spans.py",
    "otel/response.py",
    "otel/trips.py",
    "otel/span_ends.py",
)


HOME: dict[str, tuple[str, ...]] = {
    "fuse.py": ("tests/e2e/test_fuse.py", "tests/test_safety.py", "tests/test_seams.py"),
    "sightings/": ("tests/test_sightings.py",),
    "limits.py": ("tests/test_limits.py", "tests/test_accounts.py"),
    "loops/rule.py": ("tests/test_loops.py", "tests/test_actions.py"),
    "loops/": ("tests/test_loops.py", "tests/test_canonical.py", "tests/test_signatures.py"),
    "accounting/": ("tests/e2e/test_fuse.py", "tests/e2e/test_tripped.py", "tests/test_actions.py"),
    "accounting/alerts.py": ("tests/test_alerts.py",),
    "accounting/published_limits.py": ("tests/test_published_limits.py", "tests/test_accounts.py"),
    "ledgers/": ("tests/ledgers/test_contract.py", "tests/ledgers/test_failures.py"),
    "ledgers/fallback.py": ("tests/ledgers/test_arrears.py",),
    "ledgers/owed_entries.py": ("tests/ledgers/test_arrears.py",),
    "ledgers/owners.py": ("tests/ledgers/test_processes.py",),
    "ledgers/forks.py": ("tests/ledgers/test_processes.py",),
    "ledgers/filelock.py": ("tests/ledgers/test_failures.py", "tests/ledgers/test_races.py"),
    "ledgers/migrations.py": ("tests/ledgers/test_migrations.py", "tests/ledgers/test_failures.py"),
    "ledgers/sql_reading.py": ("tests/test_published_limits.py", "tests/test_accounts.py"),
    "otel/open_spans.py": ("tests/e2e/test_open_spans.py",),
    "otel/": ("tests/test_late_spans.py", "tests/test_safety.py", "tests/e2e/test_refusal.py"),
}
"""Where a module's promises are tested first; the longest match counts."""


def home(file: str) -> tuple[str, ...]:
    """Test files of a module, given below `src/`."""
    name = file.removeprefix("agent_fuse/")
    found = max((one for one in HOME if name.startswith(one)), key=len, default="")
    return HOME.get(found, ())


def modules(wanted: list[str]) -> Iterator[Path]:
    """Files to mutate: all targets, or those whose path below the package begins with one of these."""
    for pattern in MODULES:
        for path in sorted(PACKAGE.glob(pattern)):
            name = str(path.relative_to(PACKAGE))
            if path.name != "__init__.py" and (not wanted or any(name.startswith(one) for one in wanted)):
                yield path


def excuses() -> dict[str, str]:
    """Reasons by mutant."""
    found = {}
    for line in EXCUSED.read_text().splitlines() if EXCUSED.exists() else ():
        name, _, reason = line.partition("  # ")
        if reason and not line.startswith("#"):
            found[name.strip()] = reason.strip()
    return found
