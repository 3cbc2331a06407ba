"""What threads ask for at once goes to the server together; whoever asks for several, nobody waits for ever."""

import asyncio
import threading

import pytest

pytest.importorskip("psycopg")

from agent_fuse.ledgers.postgres.combining import Combined


class Desk:
    """Answers a request with its double. The first step waits for `go`; what it was asked is kept."""

    def __init__(self, several=None):
        self.begun, self.go = threading.Event(), threading.Event()
        self.alone_for, self.steps = [], []
        self.combined = Combined(self.alone, several or self.several)

    def alone(self, request):
        self.alone_for.append(request)
        if request == "first":
            self.begun.set()
            assert self.go.wait(30)
        return request * 2

    def several(self, requests):
        self.steps.append(list(requests))
        return [one * 2 for one in requests]

    def ask_while_busy(self, requests):
        """Ask for the first, and for the others meanwhile: what each got, an exception if that is what it got."""
        got = {}

        def ask(request):
            try:
                got[request] = self.combined.ask(request)
            except Exception as error:
                got[request] = error

        threads = [threading.Thread(target=ask, args=("first",))]
        threads[0].start()
        assert self.begun.wait(30)
        for request in requests:
            threads.append(threading.Thread(target=ask, args=(request,)))
            threads[-1].start()
            while not any(one.request == request for one in self.combined._waiting):
                threading.Event().wait(0.001)
        self.go.set()
        for one in threads:
            one.join(30)
            assert not one.is_alive()
        return got


def test_who_comes_meanwhile_goes_together():
    """Three that come while one step is under way are the next step, and each has its own answer."""
    desk = Desk()
    assert desk.ask_while_busy("abc") == {"first": "firstfirst", "a": "aa", "b": "bb", "c": "cc"}
    assert desk.alone_for == ["first"]
    assert desk.steps == [["a", "b", "c"]]
    assert desk.combined.ask("d") == "dd"


def test_several_that_cannot_go_together_go_alone():
    """Where the step leaves them all undone, each is asked for by itself."""
    desk = Desk(lambda _: None)
    assert desk.ask_while_busy("abc") == {"first": "firstfirst", "a": "aa", "b": "bb", "c": "cc"}
    assert sorted(desk.alone_for) == ["a", "b", "c", "first"]


def test_whoever_fails_keeps_nobody():
    """The one that asks for several gets its error; the others go by themselves, and later ones as ever."""

    def broken(_):
        raise ConnectionError("lost")

    desk = Desk(broken)
    got = desk.ask_while_busy("abc")
    assert isinstance(got.pop("a"), ConnectionError)
    assert got == {"first": "firstfirst", "b": "bb", "c": "cc"}
    assert desk.combined.ask("d") == "dd"


def test_first_that_fails_lets_the_next_go():
    """An error of a step for one is that one's alone."""
    desk = Desk()
    desk.alone, was = None, desk.alone

    def alone(request):
        was(request)
        if request == "first":
            raise ConnectionError("lost")
        return request * 2

    desk.combined = Combined(alone, desk.several)
    got = desk.ask_while_busy("ab")
    assert isinstance(got.pop("first"), ConnectionError)
    assert got == {"a": "aa", "b": "bb"}


def test_interrupted_while_it_waits():
    """A KeyboardInterrupt in one that waits takes it out of the row; the step under way, and later ones, go on."""
    desk = Desk()
    first = threading.Thread(target=desk.combined.ask, args=("first",))
    first.start()
    assert desk.begun.wait(30)

    class Interrupting:
        def acquire(self):
            raise KeyboardInterrupt

    import agent_fuse.ledgers.postgres.combining as module

    class Asked(module._Asked):
        __slots__ = ()

        def __init__(self, request):
            super().__init__(request)
            self.turn = Interrupting()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_Asked", Asked)
        with pytest.raises(KeyboardInterrupt):
            desk.combined.ask("b")
    assert desk.combined._waiting == []
    desk.go.set()
    first.join(30)
    assert desk.combined.ask("c") == "cc"


def test_an_event_loop_waits_for_nobody():
    """In an event loop a request goes by itself, while another thread's step is under way."""
    desk = Desk()
    first = threading.Thread(target=desk.combined.ask, args=("first",))
    first.start()
    assert desk.begun.wait(30)

    async def ask():
        return desk.combined.ask("b")

    assert asyncio.run(ask()) == "bb"
    desk.go.set()
    first.join(30)
