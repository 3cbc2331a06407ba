"""Which worker runs which files: the same ones in the same order on every machine, whoever is free first."""

from collections import Counter
from collections.abc import Iterable

from xdist.scheduler.loadfile import LoadFileScheduling

SECONDS = {
    "cli/test_doctor": 53,
    "dashboard/test_accessible": 23,
    "dashboard/test_connection": 25,
    "dashboard/test_page": 33,
    "e2e/test_every_client": 5,
    "e2e/test_ledger_failures": 7,
    "e2e/test_races": 4,
    "e2e/test_span_attributes": 9,
    "e2e/test_told_later": 14,
    "e2e/test_trips": 7,
    "e2e/test_wire_third_party": 5,
    "e2e/test_without_usage": 7,
    "faults/test_every_function": 62,
    "fuzzing/test_files": 5,
    "fuzzing/test_streams": 5,
    "ledgers/test_contract": 20,
    "ledgers/test_leases": 14,
    "ledgers/test_lost_answers": 5,
    "ledgers/test_postgres": 11,
    "ledgers/test_pulse": 18,
    "ledgers/test_races": 11,
    "ledgers/test_server_tls": 9,
    "ledgers/test_server_trouble": 9,
    "ledgers/test_server_urls": 9,
    "ledgers/test_stateful": 9,
    "ledgers/test_two_copies": 7,
    "ledgers/test_windows": 8,
    "running/test_run": 18,
    "running/test_servers": 26,
    "test_accounts": 4,
    "test_alias": 5,
    "test_awaited_tools": 9,
    "test_carrying": 17,
    "test_charged": 1,
    "test_charged_for_real": 13,
    "test_compared_processes": 14,
    "test_defects_clients": 16,
    "test_dialects": 12,
    "test_docs": 36,
    "test_enforcement": 28,
    "test_examples": 27,
    "test_half_characters": 12,
    "test_hostile_spans": 10,
    "test_house": 1,
    "test_howtos": 34,
    "test_instrumented_when_used": 18,
    "test_interrupts": 13,
    "test_line": 12,
    "test_loop_turns": 5,
    "test_matching": 5,
    "test_order": 9,
    "test_price_text": 8,
    "test_prices": 8,
    "test_process_notes": 3,
    "test_quotes": 1,
    "test_recordings": 6,
    "test_request_ends": 9,
    "test_safety": 7,
    "test_security": 13,
    "test_several_guards": 12,
    "test_several_providers": 5,
    "test_survey": 37,
    "test_tokens": 6,
    "test_waiting": 5,
    "test_wrong_input": 10,
}
"""What files take, about, where it is not `EACH` for every test, on an idle machine of two cores."""

EACH = 1 / 20
"""Seconds that a test takes in any other file."""


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
    weights = {
        file: SECONDS.get(file[len("tests/") : -len(".py")], tests * EACH) for file, tests in Counter(files).items()
    }
    loads = dict.fromkeys((f"share {number}" for number in range(workers)), 0.0)
    found: dict[str, str] = {}
    for file in sorted(weights, key=lambda one: (-weights[one], one)):
        share = min(loads, key=lambda one: loads[one])
        found[file] = share
        loads[share] += weights[file]
    return found
