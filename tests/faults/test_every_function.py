"""A fault in any function of ours that a seam reaches: the host gets its answer or a trip, and the next call is booked.

The functions are found by running each scene under a profiler, so new ones are covered the day they are written.
"""

import sys
from collections.abc import Iterator
from types import CodeType
from typing import Any

import pytest

from agent_fuse.errors import SentinelError
from agent_fuse.testing import LoopbackProvider, Reply

from .inject import FAULT, Functions
from .reach import Reach, name_of, recorded
from .scenes import SCENES, TEXT, USED, Rig, Scene

EDGES = {
    "api.py:session": "called by the user, before any call",
    "byhand/flights.py:call": "a `judge`, and a constructor",
    "byhand/flights.py:post_flight": "`checked` and `quietly` alone",
    "byhand/flights.py:pre_flight": "`judge` and `quietly` alone",
    "byhand/handcalls.py:HandCall.__aenter__": "`judge` and `quietly` alone",
    "byhand/handcalls.py:HandCall.__aexit__": "`quietly` alone",
    "byhand/handcalls.py:HandCall.__enter__": "`judge` and `quietly` alone",
    "byhand/handcalls.py:HandCall.__exit__": "`quietly` alone",
    "byhand/handcalls.py:HandCall.release": "`quietly` alone",
    "byhand/handcalls.py:HandCall.response": "`quietly` alone",
    "byhand/handcalls.py:HandCall.usage": "`checked` alone",
    "byhand/loop_guards.py:check_loop": "`judge` alone",
    "byhand/wrapping.py:_async_generator.<locals>.call": "the function's own, and guarded words with its watch",
    "byhand/wrapping.py:_coroutine.<locals>.call": "the function's own, and guarded words with its watch",
    "byhand/wrapping.py:_generator.<locals>.call": "the function's own, and guarded words with its watch",
    "byhand/wrapping.py:_plain.<locals>.call": "the function's own, and guarded words with its watch",
    "integrations/langchain.py:AgentFuseCallbackHandler.__init__": "called by the user, before any call",
    "integrations/langchain.py:_judges.<locals>.call": "one `try`",
    "limits.py:Limit.__post_init__": "called by the user, before any call",
    "metrics.py:Meters._callback.<locals>.observe": "`quietly` alone",
    "otel/instrumentor.py:_aprocess.<locals>.process": "the SDK's own, and guarded words with the flight",
    "otel/instrumentor.py:_arequest.<locals>.request": "the SDK's own, and guarded words with the flight",
    "otel/instrumentor.py:_build_request.<locals>.build": "the SDK's own, and one `try`",
    "otel/instrumentor.py:_process.<locals>.process": "the SDK's own, and guarded words with the flight",
    "otel/instrumentor.py:_request.<locals>.request": "the SDK's own, and guarded words with the flight",
    "otel/instrumentor.py:_sleep.<locals>.sleep": "the SDK's own, and guarded words with the flight",
    "otel/response.py:_observed.<locals>.aclose": "the response's own, and `quietly`",
    "otel/response.py:_observed.<locals>.aiter_bytes": "the response's own, and `quietly`",
    "otel/response.py:_observed.<locals>.close": "the response's own, and `quietly`",
    "otel/response.py:_observed.<locals>.iter_bytes": "the response's own, and `quietly`",
    "otel/span_processor.py:AgentFuseSpanProcessor.on_end": "one `try`",
    "otel/span_processor.py:AgentFuseSpanProcessor.on_start": "one `try`",
    "otel/watch.py:watch.<locals>.set_attribute": "the span's own, and one `try`",
    "otel/watch.py:watch.<locals>.set_attributes": "the span's own, and one `try`",
    "seams.py:harmless.<locals>.decorate.<locals>.call": "the guard",
}
"""Where others call us: what stands there must not fail. A new one is to be guarded, and to be named here."""

MAKERS = {
    "errors.py:SentinelError.__init__": "without a trip there is nothing to raise",
    "byhand/handcalls.py:HandCall.__init__": "without the value there is nothing to hand to the user",
}
"""Constructors of what the host is to get, which do nothing but keep what they are given."""

VERDICT = "errors.py:SentinelError.__init__"
"""Reached first when a call is refused."""

PROVIDES = {"calls.py:Usage.total_tokens"}
"""What the loopback provider bills by: where it is asked, the fault would be its own."""

RELEASES = {
    "engine/turnstile.py:Turnstile.leave",
    "ledgers/database.py:Database._give_turn",
    "ledgers/filelock.py:FileLock.release",
    "ledgers/filelock.py:_unlock",
}
"""What gives a lock back. A fault there keeps the lock: calls after it are blocked, not let go."""


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with LoopbackProvider(Reply(text=TEXT), usage=USED, record=False) as provider:
        one = Rig(provider, tmp_path_factory.mktemp("faults"))
        one.renew()
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


def reached(rig: Rig, scene: Scene, options: dict[str, Any]) -> tuple[Any, list[Any], Reach]:
    """What the scene gives and books, twice the same, and what it reaches."""
    rig.fresh(**options)
    outcome(rig, scene)  # what a process does once only
    rig.fresh(**options)
    with recorded() as found:
        expected = outcome(rig, scene)
    booked = rig.booked()
    rig.fresh(**options)
    assert (outcome(rig, scene), rig.booked()) == (expected, booked), "the scene is not the same each time"
    return expected, booked, found


def is_accepted(scene: Scene, got: Any, expected: Any, *, fail_safe: bool, judged: bool) -> bool:
    """Whether the host may get this. `judged`: the function is first called when a limit has refused the call."""
    if isinstance(got, type):  # a trip
        return fail_safe or scene.refused
    return not (fail_safe or judged) and not str(got).endswith(FAULT) if scene.refused else bool(got == expected)


def sweep(
    rig: Rig,
    scene: Scene,
    codes: list[CodeType],
    found: Reach,
    expected: Any,
    booked: list[Any],
    options: dict[str, Any],
) -> list[str]:
    """Put a fault into each function in turn; what went wrong."""
    wrong: list[str] = []
    functions = Functions()
    order = [name_of(code) for code in found.callers]
    verdict = order.index(VERDICT) if scene.refused else len(order)
    for code in codes:
        rig.fresh(**options)
        with functions.failing(code):
            got = outcome(rig, scene)
        judged = order.index(name_of(code)) > verdict
        sent = rig.provider.count
        if not is_accepted(scene, got, expected, fail_safe=options["fail_safe"], judged=judged):
            wrong.append(f"{name_of(code)}: the host got {got!r}")
        elif isinstance(got, type) and sent:
            wrong.append(f"{name_of(code)}: {sent} requests were sent, and yet {got.__name__} was raised")
        if name_of(code) in RELEASES:
            rig.renew()
            continue
        rig.again()
        after = outcome(rig, scene), rig.booked()
        if after != (expected, booked):
            wrong.append(f"{name_of(code)}: the next call, without the fault, gave {after}")
            rig.renew()
    return wrong


@pytest.mark.parametrize("fail_safe", [True, False], ids=["blocks", "lets-go"])
@pytest.mark.parametrize("scene", SCENES, ids=lambda one: one.name)
def test_a_fault_anywhere(rig, known, lost, scene, fail_safe):
    """Each function that is reached in a new way fails once: never a TypeError for the host, and the next call works."""
    options = {**scene.options, "fail_safe": fail_safe}
    expected, booked, found = reached(rig, scene, options)
    edges = {name_of(code) for code in found.edges()}
    assert edges <= EDGES.keys(), "others call these: guard them, and name them in EDGES"
    codes = []
    for code in found.inside():
        if name_of(code) in EDGES.keys() | MAKERS.keys() or (rig.provider.count and name_of(code) in PROVIDES):
            continue
        pairs = {(str(caller and name_of(caller)), code, fail_safe) for caller in found.callers[code]}
        if not pairs <= known:
            codes.append(code)
        known |= pairs
    wrong = sweep(rig, scene, codes, found, expected, booked, options)
    assert not wrong, "\n".join(wrong)
    assert not [one for one in lost if FAULT in one]
