"""While a vocabulary is being loaded: gates do not wait, no outcome differs, and what is booked is what it would be."""

import sys
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_fuse import Limit, SentinelBudgetExceeded
from agent_fuse.calls import Usage
from agent_fuse.prices import PriceBook
from agent_fuse.quotes import Quoter
from agent_fuse.quoting import vocabularies
from agent_fuse.quoting.families import Vocabulary
from agent_fuse.tokens import TokenCounter
from fuses import Desk

TEXT = "The quick brown fox jumps over the lazy dog. " * 100
BODY: dict[str, Any] = {"model": "gpt-4o", "max_tokens": 10, "messages": [{"role": "user", "content": TEXT}]}
EXACT = Quoter(PriceBook()).for_body("openai", "gpt-4o", "chat", BODY)
REAL = {name: vocabularies.load(name) for name in Vocabulary}
BOUND = len(TEXT) * EXACT.rates.tiers[0].input // 1_000
"""Nano-dollars, nearly: what the text costs by its bytes."""


class Loader:
    """The loading of vocabularies, held until it is let go: by the test, or by whoever comes to wait for it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._go = threading.Event()
        self.waited: list[Vocabulary] = []
        """Loadings that a gate or a booking waited for."""
        monkeypatch.setattr(vocabularies, "build", self._build)
        monkeypatch.setattr(vocabularies, "_loaded", {})
        monkeypatch.setattr(vocabularies, "_loading", {})
        monkeypatch.setattr("agent_fuse.tokens.load", self._load)

    def finish(self) -> None:
        self._go.set()
        for thread in vocabularies._loading.values():
            if thread.ident is not None:
                thread.join()

    def _build(self, name: Vocabulary, environ: Any) -> Any:
        if threading.current_thread() in vocabularies._loading.values():
            assert self._go.wait(60)
        return REAL[name]

    def _load(self, name: Vocabulary) -> Any:
        if name not in vocabularies._loaded:
            self.waited.append(name)
            self.finish()
        return vocabularies.load(name)


@pytest.fixture
def loader(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loader]:
    one = Loader(monkeypatch)
    yield one
    one.finish()


# The bound ------------------------------------------------------------------------------------------------------------

PARTS = st.recursive(
    st.text(max_size=30) | st.integers() | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
MESSAGES = st.lists(st.fixed_dictionaries({"role": st.sampled_from(("user", "tool")), "content": PARTS}), max_size=4)


@given(
    MESSAGES, st.sampled_from(("gpt-4o", "gpt-4")), st.lists(st.dictionaries(st.text(max_size=9), PARTS, max_size=3))
)
def test_counted_by_bytes_is_never_below_the_count(messages: Any, model: str, tools: Any) -> None:
    """Whatever the body holds; what is no text weighs the same."""
    body = {"messages": messages, "tools": tools}
    counter = TokenCounter()
    exact = counter.count("chat", body, model)
    with pytest.MonkeyPatch.context() as patch:
        held = Loader(patch)
        bound = TokenCounter().count("chat", body, model, wait=False)
        held.finish()
    assert bound.provisional
    assert not exact.provisional
    assert bound.tokens >= exact.tokens
    assert (bound.media_tokens, bound.readable, bound.tools) == (exact.media_tokens, exact.readable, exact.tools)


@pytest.mark.parametrize("text", ["hello", "é" * 100, "\ud83d", "日本語" * 30, " " * 200_000, ""])
def test_one_text_by_bytes(loader: Loader, text: str) -> None:
    """Also where a text is cut to be counted, and where it is no valid Unicode."""
    counter = TokenCounter()
    bound = counter.count_text(text, "gpt-4o", wait=False)
    loader.finish()
    assert bound >= counter.count_text(text, "gpt-4o", wait=False) == TokenCounter().count_text(text, "gpt-4o")


def test_a_quote_is_a_bound_until_the_vocabulary_is_there(loader: Loader) -> None:
    """By body and by span; and the same as ever as soon as it is."""
    quoter = Quoter(PriceBook())
    body = quoter.for_body("openai", "gpt-4o", "chat", BODY, wait=False)
    span = quoter.for_span("openai", "gpt-4o", "chat", input_text=TEXT, wait=False)
    assert body.provisional
    assert span.provisional
    assert not loader.waited
    assert body.input_tokens >= len(TEXT)
    assert span.input_tokens == len(TEXT)
    loader.finish()
    assert quoter.for_body("openai", "gpt-4o", "chat", BODY, wait=False) == EXACT
    assert not quoter.for_span("openai", "gpt-4o", "chat", input_text=TEXT, wait=False).provisional
    assert not loader.waited


def test_a_strict_quote_needs_no_vocabulary(loader: Loader) -> None:
    """It is reckoned from the body's bytes as it is."""
    quoter = Quoter(PriceBook(), strict=True)
    early = quoter.for_body("openai", "gpt-4o", "chat", BODY, wait=False)
    loader.finish()
    late = quoter.for_body("openai", "gpt-4o", "chat", BODY, wait=False)
    assert not early.provisional
    assert (early.cost, early.input_tokens, early.is_upper_bound) == (late.cost, late.input_tokens, True)
    assert early.counted is None


def test_a_model_without_a_vocabulary_loads_none(loader: Loader) -> None:
    """Its quotes are what they ever were."""
    quote = Quoter(PriceBook()).for_body("anthropic", "claude-sonnet-4-5", "messages", BODY, wait=False)
    assert not quote.provisional
    assert not vocabularies._loading


# Outcomes -------------------------------------------------------------------------------------------------------------


def test_a_gate_does_not_wait_where_there_is_room(loader: Loader) -> None:
    """The hold is the bound; booked without usage, the call costs its exact quote."""
    desk = Desk(budget=100)
    seen = desk.fuse.open_call(desk.ask(body=BODY, estimate=None))
    assert not loader.waited
    assert desk.books.balance("session=s").held.usd > BOUND
    desk.fuse.close_call(seen)
    assert loader.waited == [Vocabulary.O200K]
    assert desk.books.spent("session=s") == EXACT.cost
    assert desk.books.balance("session=s").held.usd == 0


@pytest.mark.parametrize(
    "limits",
    [
        (Limit(usd=(EXACT.cost + 1) / 1e9),),
        (Limit(usd=BOUND * 1.5 / 1e9),),
        (Limit(usd=100), Limit(tokens=EXACT.input_tokens + 20, per="all")),
    ],
    ids=["the bound does not fit", "the bound takes more than half", "of one of two"],
)
def test_a_bound_neither_refuses_nor_crowds(loader: Loader, limits: tuple[Limit, ...]) -> None:
    """Where the limit is near, the gate waits and asks with the exact quote."""
    desk = Desk(limits=limits)
    desk.fuse.open_call(desk.ask(body=BODY, estimate=None))
    assert loader.waited == [Vocabulary.O200K]
    assert desk.books.balance("session=s").held.usd == EXACT.cost


def test_a_refusal_is_by_the_exact_quote(loader: Loader) -> None:
    """What the trip says of the request is what it always says, and nothing stays held."""
    desk = Desk(limits=(Limit(usd=EXACT.cost / 2e9),))
    with pytest.raises(SentinelBudgetExceeded) as caught:
        desk.fuse.open_call(desk.ask(body=BODY, estimate=None))
    assert caught.value.requested == EXACT.usage.total_tokens or caught.value.requested * 10**9 == EXACT.cost
    assert desk.books.balance("session=s").held.usd == 0


def test_a_bound_warns_of_nothing(loader: Loader) -> None:
    """Shares of a limit that only the bound passes are not announced."""
    told: list[Any] = []
    desk = Desk(limits=(Limit(usd=BOUND * 5 / 1e9),), warn_at=(0.1,), on_warning=told.append)
    desk.fuse.open_call(desk.ask(body=BODY, estimate=None))
    assert loader.waited == [Vocabulary.O200K]
    assert not told


def test_a_call_without_limits_waits_for_nothing(loader: Loader) -> None:
    """There is nothing that its bound could crowd."""
    desk = Desk(limits=(Limit(usd=100, per="agent"), Limit(calls=10)))
    seen = desk.fuse.open_call(desk.ask(body=BODY, estimate=None))
    desk.fuse.close_call(seen, usage=Usage(input_tokens=900, output_tokens=10))
    assert not loader.waited


def test_it_learns_what_it_would_have_learned(loader: Loader) -> None:
    """From a call that was held by a bound and told its usage when the vocabulary was there."""
    used = Usage(input_tokens=1_050, output_tokens=10)
    desk = Desk(budget=100)
    seen = desk.fuse.open_call(desk.ask(body=BODY, estimate=None, body_bytes=5_000))
    loader.finish()
    desk.fuse.close_call(seen, usage=used)
    other = Desk(budget=100)
    other.fuse.close_call(other.fuse.open_call(other.ask(body=BODY, estimate=None, body_bytes=5_000)), usage=used)
    assert not loader.waited
    quotes = [one.fuse.accounting.quote(one.ask(body=BODY, estimate=None)) for one in (desk, other)]
    assert quotes[0] == quotes[1] != EXACT


def test_a_call_by_hand_tells_its_exact_quote(loader: Loader, run_python: Callable[..., Any]) -> None:
    """In a fresh process, where the vocabulary is not loaded when the call opens."""
    script = """
import agent_fuse
agent_fuse.init(budget=100, db_path="memory://")
messages = [{"role": "user", "content": "hello " * 1000}]
with agent_fuse.call(model="gpt-4o", messages=messages, estimated_output_tokens=10) as call:
    told = call.quoted_usd
    again = agent_fuse.call(model="gpt-4o", messages=messages, estimated_output_tokens=10)
    with again:
        assert told == again.quoted_usd > 0
    assert 0.002 < told < 0.004, told
"""
    run_python(script)


# Loading --------------------------------------------------------------------------------------------------------------


def test_it_is_loaded_once_beside(loader: Loader) -> None:
    """However many ask, one thread loads, and it ends."""
    assert [vocabularies.begin(Vocabulary.CL100K) for _ in range(5)] == [False] * 5
    (thread,) = vocabularies._loading.values()
    loader.finish()
    assert vocabularies.begin(Vocabulary.CL100K)
    assert not thread.is_alive()
    assert vocabularies.load(Vocabulary.CL100K).encode_ordinary("hello world") == [15339, 1917]


def test_without_threads_it_is_loaded_at_once(loader: Loader, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the end of a process, and where there are none, none can be had."""

    def start(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    assert vocabularies.begin(Vocabulary.CL100K)


def test_a_failure_leaves_the_ratio(loader: Loader, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be loaded is not tried at every call: tokens are reckoned from bytes, as without vocabularies."""

    def build(name: Vocabulary, environ: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(vocabularies, "build", build)
    counter = TokenCounter()
    counter.count_text(TEXT, "gpt-4o", wait=False)
    loader.finish()
    assert counter.count_text(TEXT, "gpt-4o", wait=False) == TokenCounter(vocabularies=False).count_text(TEXT, "gpt-4o")


def test_one_copy_of_a_vocabulary(loader: Loader, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host's own serves us too; ours keeps nothing of what it was made from."""
    theirs = SimpleNamespace(encode_ordinary=list)
    monkeypatch.setitem(sys.modules, "tiktoken.registry", SimpleNamespace(ENCODINGS={"o200k_base": theirs}))
    assert vocabularies.load(Vocabulary.O200K) is theirs
    assert REAL[Vocabulary.CL100K]._mergeable_ranks == {}


def test_a_fork_waits_for_the_loader(run_python: Callable[..., Any]) -> None:
    """The child has the vocabulary, in its parent's memory, and may load others."""
    script = """
import os, threading
from agent_fuse.quoting import vocabularies as v
assert not v.begin(v.Vocabulary.CL100K)
child = os.fork()
if not child:
    there = v.Vocabulary.CL100K in v._loaded and threading.active_count() == 1
    v.begin(v.Vocabulary.O200K)
    os._exit(0 if there and v.load(v.Vocabulary.O200K) else 1)
print(os.waitpid(child, 0)[1])
"""
    assert run_python(script).stdout.split() == ["0"]


def test_a_fork_does_not_wait_for_ever(run_python: Callable[..., Any]) -> None:
    """A child whose parent's loader hangs loads for itself."""
    script = """
import os, threading
from agent_fuse.quoting import vocabularies as v
v._PATIENCE, real, go = 0, v.build, threading.Event()
v.build = lambda *given: go.wait(60)
v.begin(v.Vocabulary.CL100K)
v.build = real
child = os.fork()
if not child:
    os._exit(0 if v.load(v.Vocabulary.CL100K).encode_ordinary("hello world") else 1)
print(os.waitpid(child, 0)[1])
go.set()
"""
    assert run_python(script).stdout.split() == ["0"]


def test_a_process_may_end_while_it_loads(run_python: Callable[..., Any]) -> None:
    """Its end waits for the loader, and nothing is said."""
    script = "from agent_fuse.quoting import vocabularies as v\nv.begin(v.Vocabulary.O200K)"
    assert run_python(script).stderr == ""
