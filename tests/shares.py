"""Which worker runs which files: the same ones in the same order on every machine, whoever is free first."""

from collections.abc import Iterable

from xdist.scheduler.loadfile import LoadFileScheduling

SECONDS = {
    "cli/test_doctor": 53,
    "dashboard/test_accessible": 23,
    "dashboard/test_page": 33,
    "e2e/test_booking": 11,
    "e2e/test_races": 12,
    "e2e/test_refusal": 20,
    "e2e/test_told_later": 37,
    "e2e/test_wire_sdks": 13,
    "e2e/test_without_usage": 15,
    "faults/test_every_function": 92,
    "ledgers/test_contract": 27,
    "ledgers/test_leases": 16,
    "ledgers/test_stateful": 14,
    "running/test_run": 18,
    "running/test_servers": 26,
    "test_charged_for_real": 18,
    "test_comparison": 19,
    "test_defects_clients": 23,
    "test_docs": 36,
    "test_enforcement": 28,
    "test_examples": 27,
    "test_howtos": 34,
    "test_instrumented_when_used": 18,
    "test_interrupts": 14,
    "test_keys": 15,
    "test_line": 14,
    "test_request_ends": 12,
    "test_several_guards": 12,
    "test_survey": 37,
}
"""What the longest files take, about; any other file a twelfth of a second a test."""


class Shares(LoadFileScheduling):
    """One share of the files for each worker.

    Handed out by who is free, they would run in another order each time, and a test that another one disturbs would
    fail now and then, on somebody else's machine.
    """

    def schedule(self) -> None:
        """Set the shares before anything is handed out."""
        if self.collection is None:
            tests = next(iter(self.registered_collections.values()))
            self.share_of = shares((test.partition("::")[0] for test in tests), len(self.nodes))
        super().schedule()

    def _split_scope(self, nodeid: str) -> str:
        return self.share_of[super()._split_scope(nodeid)]


def shares(files: Iterable[str], workers: int) -> dict[str, str]:
    """The share of each file: the heaviest first, to whoever has least so far.

    Args:
        files: the file of each test.
    """
    weights: dict[str, float] = {}
    for file in files:
        weights[file] = weights.get(file, 0) + 1 / 12
    weights |= {f"tests/{name}.py": taken for name, taken in SECONDS.items() if f"tests/{name}.py" in weights}
    loads = dict.fromkeys((f"share {number}" for number in range(workers)), 0.0)
    found: dict[str, str] = {}
    for file in sorted(weights, key=lambda one: (-weights[one], one)):
        share = min(loads, key=lambda one: loads[one])
        found[file] = share
        loads[share] += weights[file]
    return found
