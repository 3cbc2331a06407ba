"""Which worker runs which files: the same ones in the same order on every machine, whoever is free first."""

from collections import Counter
from collections.abc import Iterable

from xdist.scheduler.loadfile import LoadFileScheduling

SECONDS = {
    "cli/test_behaviour": 17,
    "cli/test_both_ledgers": 5,
    "cli/test_doctor": 167,
    "cli/test_ledger": 11,
    "cli/test_report": 13,
    "collector/test_collector": 25,
    "dashboard/test_accessible": 48,
    "dashboard/test_answers": 39,
    "dashboard/test_connection": 36,
    "dashboard/test_door": 40,
    "dashboard/test_odd_texts": 17,
    "dashboard/test_page": 53,
    "dashboard/test_waiting": 24,
    "e2e/test_booking": 9,
    "e2e/test_every_client": 6,
    "e2e/test_langchain_handler": 6,
    "e2e/test_ledger_failures": 11,
    "e2e/test_priced_endpoints": 7,
    "e2e/test_races": 12,
    "e2e/test_refusal": 16,
    "e2e/test_served_where": 5,
    "e2e/test_span_attributes": 13,
    "e2e/test_told_later": 22,
    "e2e/test_trips": 8,
    "e2e/test_wire_endpoints": 6,
    "e2e/test_wire_roads": 10,
    "e2e/test_wire_sdks": 10,
    "e2e/test_wire_third_party": 8,
    "e2e/test_wire_unlisted": 5,
    "e2e/test_without_usage": 11,
    "faults/test_every_function": 78,
    "ledgers/test_contract": 31,
    "ledgers/test_controls": 6,
    "ledgers/test_fences": 12,
    "ledgers/test_leases": 21,
    "ledgers/test_lost_answers": 4,
    "ledgers/test_postgres": 14,
    "ledgers/test_processes": 6,
    "ledgers/test_pulse": 14,
    "ledgers/test_races": 18,
    "ledgers/test_server_trouble": 17,
    "ledgers/test_server_urls": 14,
    "ledgers/test_stateful": 22,
    "ledgers/test_two_copies": 5,
    "ledgers/test_windows": 9,
    "running/test_refusing": 17,
    "running/test_run": 37,
    "running/test_servers": 64,
    "test_alias": 8,
    "test_awaited_tools": 11,
    "test_carrying": 32,
    "test_charged_for_real": 16,
    "test_compared_processes": 17,
    "test_comparison": 5,
    "test_control": 20,
    "test_conversation": 9,
    "test_defects": 5,
    "test_defects_clients": 18,
    "test_dialects": 10,
    "test_docs": 50,
    "test_downgrading": 4,
    "test_enforcement": 62,
    "test_examples": 50,
    "test_frameworks_page": 8,
    "test_half_characters": 10,
    "test_hostile_spans": 16,
    "test_house": 4,
    "test_howtos": 28,
    "test_instrumented_when_used": 37,
    "test_interrupts": 23,
    "test_keys": 12,
    "test_killed_holders": 8,
    "test_limits_file": 16,
    "test_line": 27,
    "test_loading": 6,
    "test_matching": 13,
    "test_order": 15,
    "test_original_readme": 6,
    "test_path": 6,
    "test_pausing": 6,
    "test_price_text": 11,
    "test_prices": 16,
    "test_process_notes": 7,
    "test_recordings": 9,
    "test_refused_spans": 4,
    "test_request_ends": 8,
    "test_safety": 6,
    "test_security": 13,
    "test_server_restarts": 25,
    "test_several_guards": 9,
    "test_several_providers": 5,
    "test_start": 7,
    "test_survey": 37,
    "test_tokens": 10,
    "test_tools_unseen": 15,
    "test_waiting": 7,
    "test_web": 9,
    "test_webhook": 38,
    "test_windows": 11,
    "test_wrong_input": 15,
    "test_zero_code": 24,
    "testing_provider/test_load": 6,
    "testing_provider/test_misbehaviour": 6,
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
