"""A fault in any function of ours that a seam reaches: the host gets its answer or a trip, and the next call is booked.

The functions are found by running each scene under a profiler, so new ones are covered the day they are written.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType
from typing import Any

import pytest

from agent_fuse.errors import SentinelError
from agent_fuse.testing import LoopbackProvider, Reply
from alone import leave_nobody

from .inject import FAULT, Functions, lasting
from .reach import Reach, name_of, recorded
from .scenes import SCENES, TEXT, USED, Rig, Scene

EDGES = {
    "mistakes.py:spelled.<locals>.decorate.<locals>.call": "called by the user: a look at the words, then the function itself",
    "api.py:_session": "`judge` and `quietly` alone",
    "api.py:session": "`judge` and a warning alone",
    "manual/pre_post_flight.py:_or_given_back.<locals>.hand_out": "called by the user: `quietly`, and the function itself",
    "manual/pre_post_flight.py:call": "a `judge`, and a constructor",
    "manual/pre_post_flight.py:post_flight": "`checked` and `quietly` alone",
    "manual/pre_post_flight.py:pre_flight": "`judge` and `quietly` alone",
    "manual/calls.py:HandCall.__aenter__": "`judge` and `quietly` alone, and a wait",
    "manual/calls.py:HandCall.__aexit__": "`quietly` alone",
    "manual/calls.py:HandCall.__enter__": "`judge` and `quietly` alone",
    "manual/calls.py:HandCall.__del__": "`quietly` alone",
    "manual/calls.py:HandCall.__exit__": "`quietly` alone",
    "manual/calls.py:HandCall.release": "`quietly` alone",
    "manual/calls.py:HandCall.response": "`quietly` alone",
    "manual/calls.py:HandCall.usage": "`checked` alone",
    "manual/loop_guards.py:check_loop": "`judge` alone",
    "otel/wrapping.py:_async_generator.<locals>.call": "the function's own, and guarded words with its watch",
    "otel/wrapping.py:_begun": "`judge` alone",
    "otel/wrapping.py:_coroutine.<locals>.call": "the function's own, and guarded words with its watch",
    "otel/wrapping.py:_generator.<locals>.call": "the function's own, and guarded words with its watch",
    "otel/wrapping.py:_plain.<locals>.call": "the function's own, and guarded words with its watch",
    "alert.py:Alert.__post_init__": "called by whoever makes the value, behind the guard of that one",
    "calls.py:Usage.__post_init__": "called by whoever makes the value, behind the guard of that one",
    "integrations/langchain.py:AgentFuseCallbackHandler.__init__": "called by the user, before any call",
    "integrations/langchain.py:_books.<locals>.call": "one `try`, around what is harmless",
    "integrations/langchain.py:_judges.<locals>.call": "one `try`",
    "last_word.py:LastWord.emit": "one `try`",
    "last_word.py:OnOneLine.filter": "one `try`",
    "ledgers/folding.py:Folding._work": "a thread of its own, and one `try`",
    "ledgers/transactions.py:Balances.__getitem__": "through `Mapping.get`, behind the guard of whoever asks",
    "ledgers/waiting.py:elsewhere.<locals>.run": "one `try`: it is raised in the thread that asked",
    "limits.py:Limit.__post_init__": "called by the user, before any call",
    "mistakes.py:checked.<locals>.init": "called by the user, before any call",
    "metrics.py:Meters._callback.<locals>.observe": "`quietly` alone",
    "otel/awaiting.py:awaited": "`quietly`, and what it is given, which is guarded",
    "otel/carrying.py:_hand_over.<locals>.hand_over": "the pool's own, and `quietly`",
    "otel/carrying.py:_make_item.<locals>.init": "the pool's own, and `quietly`",
    "otel/carrying.py:_run_item.<locals>.run": "the pool's own, between a variable set and put back",
    "otel/carrying.py:_run_task": "the host's work, between a variable set and put back",
    "otel/carrying.py:_softly": "the host's work, and a trip in its soft form",
    "otel/carrying.py:_send_over.<locals>.send_over": "the pool's own",
    "otel/carrying.py:_start_process.<locals>.start": "the process's own, and `quietly`",
    "otel/carrying.py:_carrying.<locals>.begin": "the thread's own, after a variable is set",
    "otel/carrying.py:_start_thread.<locals>.start": "the thread's own, and `quietly`",
    "otel/handing.py:session_from": "`judge` and `quietly` alone",
    "otel/handing.py:session_headers": "`judge` alone",
    "otel/instrumentor.py:_aprocess.<locals>.process": "the SDK's own, and guarded words with the flight",
    "otel/instrumentor.py:_begins.<locals>.begins": "the SDK's own, and `quietly`",
    "otel/instrumentor.py:_build_request.<locals>.build": "the SDK's own, and one `try`",
    "otel/instrumentor.py:_posted.<locals>.post": "the SDK's own, and a wait",
    "otel/instrumentor.py:_prepare.<locals>.prepare": "the SDK's own, and `quietly`",
    "otel/instrumentor.py:_process.<locals>.process": "the SDK's own, and guarded words with the flight",
    "otel/langchain_tools.py:_at_first_use.<locals>.init": "the callback manager's own, `quietly`, and one `try`",
    "otel/response.py:_aread": "the response's own, and `quietly`",
    "otel/response.py:_read": "the response's own, and `quietly`",
    "otel/response.py:_observed.<locals>.aclose": "the response's own, and `quietly`",
    "otel/response.py:_observed.<locals>.aiter_bytes": "what reads it alone",
    "otel/response.py:closes.<locals>.close": "the response's own, and `quietly`",
    "otel/response.py:_observed.<locals>.iter_bytes": "what reads it alone",
    "otel/sending.py:around_async.<locals>.send": "the HTTP client's own, and `quietly`",
    "otel/sending.py:around.<locals>.send": "the HTTP client's own, and `quietly`",
    "otel/span_processor.py:AgentFuseSpanProcessor.on_end": "one `try`",
    "otel/span_processor.py:AgentFuseSpanProcessor.on_start": "one `try`",
    "otel/watch.py:watch.<locals>.set_attribute": "the span's own, and one `try`",
    "otel/watch.py:watch.<locals>.set_attributes": "the span's own, and one `try`",
    "otel/aiohttp_body.py:watched.<locals>.read": "the reader's own, and `quietly`",
    "otel/aiohttp_body.py:watched.<locals>.set_exception": "the reader's own, and `quietly`",
    "otel/urllib3_body.py:_pieces.<locals>.pieces": "the response's own, and `quietly`",
    "otel/urllib3_body.py:_read.<locals>.read": "the response's own, and `quietly`",
    "otel/wire_aiohttp.py:around.<locals>.request": "the session's own, `judge_awaited` and `quietly`",
    "otel/wire_gate.py:judge": "one `try`",
    "otel/wire_gate.py:judge_awaited": "one `try`",
    "otel/wire_http_client.py:_read.<locals>.read": "the response's own, and `quietly`",
    "otel/wire_http_client.py:around.<locals>.request": "the connection's own, `judge` and `quietly`",
    "otel/wire_http_client.py:around_answer.<locals>.getresponse": "the connection's own, and `quietly`",
    "otel/wire_httpx.py:WireGate.begin": "`quietly` and `judge`",
    "otel/wire_httpx.py:WireGate.begin_awaited": "`quietly` and `judge_awaited`",
    "otel/wire_urllib3.py:around.<locals>.urlopen": "the pool's own, `judge` and `quietly`",
    "otel/websockets.py:_aclose.<locals>.close": "the connection's own, and `quietly`",
    "otel/websockets.py:_aenter.<locals>.enter": "the manager's own, `judge` and `quietly`",
    "otel/websockets.py:_areceive.<locals>.recv_bytes": "the connection's own, and `quietly`",
    "otel/websockets.py:_asend.<locals>.send": "the connection's own, and `judge`",
    "otel/websockets.py:_close.<locals>.close": "the connection's own, and `quietly`",
    "otel/websockets.py:_enter.<locals>.enter": "the manager's own, `judge` and `quietly`",
    "otel/websockets.py:_receive.<locals>.recv_bytes": "the connection's own, and `quietly`",
    "otel/websockets.py:_send.<locals>.send": "the connection's own, and `judge`",
    "seams.py:harmless.<locals>.decorate.<locals>.call": "the guard",
}
"""Where others call us: what stands there must not fail. A new one is to be guarded, and to be named here."""

MAKERS = {
    "errors.py:SentinelError.__init__": "without a trip there is nothing to raise",
    "manual/calls.py:HandCall.__init__": "without the value there is nothing to hand to the user",
}
"""Constructors of what the host is to get, which do nothing but keep what they are given."""

VERDICT = "errors.py:SentinelError.__init__"
"""Reached first when a call is refused."""

PROVIDES = {"calls.py:Usage.total_tokens"}
"""What the loopback provider bills by: where it is asked, the fault would be its own."""

RELEASES = {
    "accounting/reentrancy.py:Reentrancy.leave",
    "ledgers/database.py:Database._give_turn",
    "ledgers/filelock.py:FileLock.release",
    "ledgers/filelock.py:_unlock",
}
"""What gives a lock back. A fault there keeps the lock: calls after it are blocked, not let go."""


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    leave_nobody()  # what lasts is not found any more, a guard that an earlier test left behind among it
    with LoopbackProvider(Reply(text=TEXT), usage=USED, record=False) as provider:
        one = Rig(provider, tmp_path_factory.mktemp("faults"))
        one.renew()
        one.functions = lasting()
        yield one
        one.close()


@pytest.fixture(scope="module")
def known() -> set[tuple[str, CodeType, bool]]:
    """Pairs of caller and function that an earlier scene put a fault between."""
    return set()


@pytest.fixture
def lost(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was raised where nobody catches it: in a finalizer, a hook, a thread."""
    found: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: found.append(repr(args.exc_value)))
    return found


def outcome(rig: Rig, scene: Scene) -> Any:
    """What the host gets: an answer, or the class of what was raised."""
    try:
        return scene.run(rig)
    except SentinelError as trip:
        return type(trip)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


@dataclass(frozen=True)
class Whole:
    """A scene in which nothing fails."""

    answer: Any
    booked: list[Any]
    sent: int
    found: Reach

    def is_judged(self, code: CodeType) -> bool:
        """Whether the function is first called when a limit has refused the call already."""
        order = [name_of(one) for one in self.found.callers]
        return VERDICT in order and order.index(name_of(code)) > order.index(VERDICT)


def watched(rig: Rig, scene: Scene, options: dict[str, Any]) -> Whole:
    """The scene as it is, three times the same but for what a process does once only."""
    rig.fresh(**options)
    outcome(rig, scene)
    rig.fresh(**options)
    with recorded() as found:
        answer = outcome(rig, scene)
    whole = Whole(answer, rig.booked(), rig.provider.count, found)
    rig.fresh(**options)
    again = outcome(rig, scene), rig.booked(), rig.provider.count
    assert again == (answer, whole.booked, whole.sent), "the scene is not the same each time"
    return whole


def wrong_with(scene: Scene, whole: Whole, got: Any, sent: int, *, judged: bool, fail_safe: bool) -> str:
    """What is wrong with what the host got, or nothing.

    Args:
        judged: the fault came when a limit had refused the call.
    """
    if isinstance(got, type):  # a trip
        if not (fail_safe or scene.refused or scene.tight):
            return f"blocked with fail_safe=False, by {got.__name__}"
        return f"all was sent, and yet {got.__name__} was raised" if sent >= max(whole.sent, 1) else ""
    if scene.refused:
        return f"not refused, but {got!r}" if fail_safe or judged or str(got).endswith(FAULT) else ""
    return "" if got == whole.answer else f"the host got {got!r}"


def sweep(rig: Rig, scene: Scene, whole: Whole, codes: list[CodeType], options: dict[str, Any]) -> list[str]:
    """Put a fault into each function in turn; what went wrong."""
    wrong: list[str] = []
    functions = Functions(rig.functions)
    for code in codes:
        rig.fresh(**options)
        with functions.failing(code):
            got = outcome(rig, scene)
        judged, fail_safe = whole.is_judged(code), options["fail_safe"]
        bad = wrong_with(scene, whole, got, rig.provider.count, judged=judged, fail_safe=fail_safe)
        if bad:
            wrong.append(f"{name_of(code)}: {bad}")
        if name_of(code) in RELEASES:
            rig.renew()
            continue
        rig.again()
        after = outcome(rig, scene), rig.booked()
        if after != (whole.answer, whole.booked):
            wrong.append(f"{name_of(code)}: the next call, without the fault, gave {after}")
            rig.renew()
    return wrong


@pytest.mark.parametrize("fail_safe", [True, False], ids=["blocks", "lets-go"])
@pytest.mark.parametrize("scene", SCENES, ids=lambda one: one.name)
def test_a_fault_anywhere(rig, known, lost, scene, fail_safe):
    """Each function that is reached in a new way fails once: never a TypeError for the host, and the next call works."""
    options = {**scene.options, "fail_safe": fail_safe}
    whole = watched(rig, scene, options)
    edges = {name_of(code) for code in whole.found.edges()}
    assert edges <= EDGES.keys(), "others call these: guard them, and name them in EDGES"
    codes = []
    for code in whole.found.inside():
        if name_of(code) in EDGES.keys() | MAKERS.keys() or (whole.sent and name_of(code) in PROVIDES):
            continue
        pairs = {(str(caller and name_of(caller)), code, fail_safe) for caller in whole.found.callers[code]}
        if not pairs <= known:
            codes.append(code)
        known |= pairs
    wrong = sweep(rig, scene, whole, codes, options)
    assert not wrong, "\n".join(wrong)
    assert not [one for one in lost if FAULT in one]
