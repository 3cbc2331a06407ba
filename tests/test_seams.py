"""A fault of ours stays at the seam: told once a place, never the host's, and what is refused stays refused."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest

from agent_fuse import ConfigurationError, SentinelBudgetExceeded, SentinelError, SentinelSystemError, seams
from agent_fuse.calls import Status
from agent_fuse.errors import is_soft
from agent_fuse.testing import LoopbackProvider


def broken(*_: Any, **__: Any) -> Any:
    raise TypeError("a bug of ours (simulated)")


def trip(words: str = "refused") -> SentinelBudgetExceeded:
    return SentinelBudgetExceeded(words, limit="$1.00 per session")


# The guard ------------------------------------------------------------------------------------------------------------


def test_a_fault_is_told_once_a_place(caplog):
    """The log names the place, what follows and the traceback; the same fault again adds nothing, another place does."""
    for _ in range(3):
        assert seams.quietly("reading an answer", "it is booked at its quote", broken) is None
    (told,) = caplog.records
    assert told.name == "agent_fuse"
    assert told.levelno == logging.ERROR
    assert told.getMessage().startswith("AgentFuse failed in reading an answer; it is booked at its quote. ")
    assert told.exc_info is not None
    assert "a bug of ours (simulated)" in caplog.text
    seams.quietly("counting a call", "the host goes on", broken)
    assert caplog.records[1:][0].getMessage().startswith("AgentFuse failed in counting a call; ")
    assert len(caplog.records) == 2


def test_telling_has_an_end(caplog, monkeypatch):
    """However many different faults there are, the log is not flooded."""
    monkeypatch.setattr(seams, "_MAX_TOLD", 5)
    for number in range(50):
        seams.quietly(f"place {number}", "so", broken)
    assert len(caplog.records) == 5


def test_a_log_that_fails_is_no_fault_of_the_host():
    """A filter of the host's own that raises while a fault is told does not reach the code that was being guarded."""

    def refuses(record: logging.LogRecord) -> bool:
        raise RuntimeError(record.getMessage())

    seams.log.addFilter(refuses)
    try:
        assert seams.quietly("reading an answer", "so", broken) is None
    finally:
        seams.log.removeFilter(refuses)


def test_the_host_is_spared_trips_and_faults_afterwards():
    """After a call neither a fault nor a trip passes; what is not ours to stop (Ctrl-C) does."""

    def refuses() -> None:
        raise trip()

    def interrupted() -> None:
        raise KeyboardInterrupt

    assert seams.quietly("booking", "so", refuses) is None
    assert seams.harmless("booking", "so")(broken)(1, two=2) is None
    assert seams.harmless("booking", "so")(int)("7") == 7
    with pytest.raises(KeyboardInterrupt):
        seams.quietly("booking", "so", interrupted)


@pytest.mark.parametrize("asked", [lambda: True, broken], ids=["closed", "unknown"])
def test_a_call_that_cannot_be_judged_is_blocked(asked):
    """fail_safe=True, or not even that can be told: one clear line, with the fault as its cause."""
    with pytest.raises(SentinelSystemError) as caught:
        seams.judge("judging a request", asked, broken)
    assert caught.value.message == (
        "call blocked since it could not be judged: judging a request failed (TypeError: a bug of ours (simulated)); "
        "set fail_safe=False to let it go"
    )
    assert isinstance(caught.value.original_error, TypeError)
    assert caught.value.__cause__ is caught.value.original_error
    assert caught.value.operation == "judging a request"


def test_a_long_fault_is_one_short_line():
    """What the fault says is cut and kept to one line."""

    def wordy() -> None:
        raise ValueError("line\n" * 1000)

    with pytest.raises(SentinelSystemError) as caught:
        seams.judge("judging", lambda: True, wordy)
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 400


class Wordless(Exception):
    """An error that fails to say what it is."""

    __str__ = broken


@pytest.mark.parametrize(("error", "words"), [(Wordless, None), (ValueError, "inline")], ids=["its own", "ours"])
def test_a_fault_without_words_is_told_by_its_class(error, words, monkeypatch):
    """Whether its own words fail or ours about it: the call is blocked, and the host does not get that second fault."""
    if words:
        monkeypatch.setattr(seams, words, broken)

    def fails() -> None:
        raise error

    with pytest.raises(SentinelSystemError, match=rf"judging failed \({error.__name__}\); set fail_safe=False"):
        seams.judge("judging", lambda: True, fails)


def test_a_call_that_cannot_be_judged_goes(caplog):
    """fail_safe=False: it goes, and the log says so."""
    assert seams.judge("judging a request", lambda: False, broken) is None
    assert "AgentFuse failed in judging a request; the call goes unjudged, since fail_safe=False" in caplog.text


@pytest.mark.parametrize("kind", [SentinelBudgetExceeded, ConfigurationError])
def test_what_may_pass_passes(kind):
    """A trip, and what the caller gave wrong, reach the caller whatever fail_safe says."""

    def says_no() -> None:
        raise kind("no")

    with pytest.raises(kind, match="no"):
        seams.judge("judging", lambda: False, says_no)
    with pytest.raises(ConfigurationError):
        seams.checked("booking", "so", lambda: (_ for _ in ()).throw(ConfigurationError("no")))
    assert seams.checked("booking", "so", broken) is None


def test_a_refused_call_stays_refused():
    """A fault on the way out of a refusal does not let the call go: the trip that was on its way is raised."""
    refused = trip("over the limit")

    def refuses_badly() -> None:
        try:
            raise refused
        except SentinelError:
            broken()

    with pytest.raises(SentinelBudgetExceeded, match="over the limit") as caught:
        seams.judge("judging", lambda: False, refuses_badly)
    assert caught.value is refused


def test_a_trip_that_the_host_handles_is_not_taken_for_ours():
    """A fallback that the host tries inside `except SentinelError` is judged by itself."""
    try:
        raise trip("of the first model")
    except SentinelError:
        assert seams.judge("judging", lambda: False, broken) is None
        with pytest.raises(SentinelSystemError, match="could not be judged"):
            seams.judge("judging", lambda: True, broken)


def test_a_refusal_without_words_is_a_refusal():
    """Where saying why a call is refused fails, it is refused all the same."""
    assert seams.refusal(trip).message == "refused"
    assert isinstance(seams.refusal(broken), SentinelSystemError)
    assert seams.refusal(broken).message.startswith("call refused: a limit does not admit it")


# At the gates ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def provider() -> Iterator[LoopbackProvider]:
    with LoopbackProvider() as provider:
        yield provider


@pytest.fixture
def asks(provider: LoopbackProvider) -> Callable[..., str]:
    """Makes one call through the openai SDK and gives the text that was answered."""
    provider.reset()
    client = openai.OpenAI(base_url=provider.openai_base_url, api_key="test", max_retries=0)

    def call(*, stream: bool = False) -> str:
        answer: Any = client.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": "hi"}], max_tokens=50, stream=stream
        )
        if not stream:
            return str(answer.choices[0].message.content)
        return "".join(piece.choices[0].delta.content or "" for piece in answer if piece.choices)

    return call


def test_a_fault_in_quoting_is_a_block_or_passes(box, asks, provider, monkeypatch, caplog):
    """fail_safe decides for the call that cannot be quoted; one that goes is booked by what its answer told."""
    rig = box(fail_safe=True)
    monkeypatch.setattr(rig.fuse.accounting.quoter, "for_body", broken)
    with pytest.raises(SentinelSystemError, match="judging a call failed"):
        asks()
    assert provider.count == 0
    assert rig.entries() == rig.books.open_holds() == []
    rig.processor.shutdown()  # else its fail_safe still counts
    rig = box(fail_safe=False)
    monkeypatch.setattr(rig.fuse.accounting.quoter, "for_body", broken)
    text = asks()
    assert text
    assert asks() == text
    first, second = rig.entries()
    assert first.status is second.status is Status.SETTLED
    assert first.cost == second.cost > 0
    assert caplog.text.count("AgentFuse failed in judging a call") == 1


@pytest.mark.parametrize("stream", [False, True])
def test_a_fault_in_reading_is_booked_at_the_quote(box, asks, monkeypatch, stream):
    """The paid answer is returned, and its call booked at its quote: nothing stays held."""
    rig = box()
    text = asks(stream=stream)
    for place in ("agent_fuse.wire.StreamReader.feed", "agent_fuse.otel.request_gate.read_body"):
        monkeypatch.setattr(place, broken)
    assert asks(stream=stream) == text
    assert rig.books.open_holds() == []
    first, second = rig.entries()
    assert first.reason == ""
    assert (second.status, second.reason) == (Status.ESTIMATED, "quote")
    assert second.cost > first.cost > 0


def test_a_price_that_cannot_be_found_is_booked_at_the_quote(box, asks, monkeypatch):
    """What was served is booked once, at what was held for it."""
    rig = box()
    asks()
    monkeypatch.setattr(rig.fuse.accounting, "_bill", broken)
    asks()
    assert rig.books.open_holds() == []
    _, second = rig.entries()
    assert (second.status, second.reason) == (Status.ESTIMATED, "quote")
    assert second.cost > 0


def test_a_refusal_survives_every_fault_on_its_way(box, asks, provider, monkeypatch):
    """With fail_safe=False too, a call that a limit refuses does not leave because its refusal could not be finished."""
    for place in ("agent_fuse.otel.gate.under_langchain", "agent_fuse.otel.gate.finish_calls",
                  "agent_fuse.accounting.admission.explain", "agent_fuse.accounting.booking.Accounting.refused"):  # fmt: skip
        rig = box(budget="0.000001", fail_safe=False)
        with monkeypatch.context() as patch:
            patch.setattr(place, broken)
            with pytest.raises(SentinelError) as caught:
                asks()
        assert not is_soft(caught.value)
        assert rig.books.open_holds() == []
        rig.processor.shutdown()
    assert provider.count == 0
