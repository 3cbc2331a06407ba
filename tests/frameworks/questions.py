"""The questions that are put to each framework, and what was measured, in words."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import agent_fuse
from agent_fuse import Limit
from agent_fuse.calls import Entry, Status

from .world import NANOS, PRICES, Run, World, calls, caught, in_tasks, journal, named, rest, side_by_side

SIX = 0.05
"""A budget that six calls fit in, and a seventh does not."""

LOOPED = 13
"""Requests of two agents that loop at once: for each the threshold and one, and one that was under way at a trip."""

Question = Callable[[ModuleType, World], dict[str, str]]


def init(world: World, budget: float, **options: Any) -> Any:
    return agent_fuse.init(budget=budget, db_path=str(world.db_path), **options)


def run_away(key: str, processor: Any, world: World, run: Run) -> dict[str, str]:
    """The model calls its tool for ever: how many requests were sent, are they booked exactly, what is raised?"""
    world.mode = "runaway"
    error = caught(run)
    sent = world.provider.count
    rest()
    late = world.provider.count - sent
    booked = calls(journal(processor))
    off = sum(one.cost for one in booked) / NANOS - world.provider.count
    words = [f"{sent} sent"]
    words += [] if any(one.status is Status.REFUSED for one in journal(processor)) else ["none refused"]
    words += [f"{late} later"] if late else []
    words += [f"booked {len(booked)}, off by {off:+.2f} calls" if off or len(booked) != sent + late else "exact"]
    words += ["a hold is left"] if processor.fuse.ledger.holds() else []
    return {key: ", ".join(words), f"{key} raised": named(error)}


def stops(program: ModuleType, world: World) -> dict[str, str]:
    """One agent, by the call that blocks."""
    return run_away("stops", init(world, SIX), world, program.agent(world, "alpha"))


def awaited(program: ModuleType, world: World) -> dict[str, str]:
    """One agent, awaited."""
    if not hasattr(program, "async_agent"):
        return {}
    processor, run = init(world, SIX), program.async_agent(world, "alpha")
    return run_away("awaited", processor, world, lambda: in_tasks(run))


def streamed(program: ModuleType, world: World) -> dict[str, str]:
    """One agent, its answers read as they come: is the provider's bill within the budget, and whose are the calls?

    A stream tells its usage only where the framework asks for it, so here the provider bills what it really sends.
    """
    if not hasattr(program, "streamed"):
        return {}
    world.provider.usage = None
    processor = init(world, budget := 0.02)
    run = program.streamed(world, "alpha")
    world.mode = "runaway"
    error = caught(run)
    rest()
    booked = calls(journal(processor))
    billed = sum(
        PRICES[0] * one.usage.input_tokens + PRICES[1] * one.usage.output_tokens for one in world.provider.served
    )
    cost = sum(one.cost for one in booked)
    words = [f"{world.provider.count} sent", f"billed {billed / budget / 1e9:.0%} of the budget"]
    words += [f"booked {len(booked)}"] if len(booked) != world.provider.count else []
    words += ["exact" if cost == billed else f"counted {cost / billed:.0%}"]
    words += ["a hold is left"] if processor.fuse.ledger.holds() else []
    names = " ".join(sorted(one or "nobody" for one in {one.agent for one in booked}))
    return {"streamed": ", ".join(words), "streamed raised": named(error), "streamed agent": names}


def team(program: ModuleType, world: World) -> dict[str, str]:
    """Two agents: the inner one of them, or the first, runs away; what does its trip do to the other?"""
    if not hasattr(program, "team"):
        return {}
    processor = init(world, SIX)
    return run_away("team", processor, world, program.team(world, ("alpha", "beta")))


def loop(program: ModuleType, world: World) -> dict[str, str]:
    """The model asks for the same tool call over and over, with money for more: how many requests are sent?"""
    init(world, 0.25)
    world.mode = "loop"
    error = caught(program.agent(world, "alpha"))
    return {"loop": f"{world.provider.count} sent, {named(error)}"}


def session(program: ModuleType, world: World) -> dict[str, str]:
    """Runs one after the other, in threads and in tasks: does each pay its own, and does a session's budget hold?"""
    processor = init(world, 1.0)
    world.mode = "once"
    run = program.agent(world, "alpha")

    def inside(name: str) -> object:
        with agent_fuse.session(name):
            return program.agent(world, "alpha")()

    async def inside_task(name: str) -> object:
        with agent_fuse.session(name):
            return await program.async_agent(world, "alpha")()

    def short() -> object:
        with agent_fuse.session("short", budget=2.5 * NANOS / 1e9):
            return getattr(program, "pool", program.agent)(world, "alpha")()

    inside("first")
    for name in ("second", "third"):
        with agent_fuse.session(name):
            run()
    errors = side_by_side(partial(inside, "left"), partial(inside, "right"))
    expected = ["first", "second", "third", "left", "right"]
    if hasattr(program, "async_agent"):
        in_tasks(partial(inside_task, "task 1"), partial(inside_task, "task 2"))
        expected += ["task 1", "task 2"]
    failed = [named(one) for one in errors if one is not None]
    found = Counter(one.session for one in calls(journal(processor)))
    words = [*failed, *misplaced(found, dict.fromkeys(expected, found["first"]))]
    world.mode = "runaway"
    before = world.provider.count
    error = caught(short)
    rest()
    sent = world.provider.count - before
    words += [f"{sent} sent on a budget for 2"] if sent != 2 or error is None else []
    return {"session": "; ".join(words) or "each its own"}


def beside(program: ModuleType, world: World) -> dict[str, str]:
    """Two that run away side by side in threads, each in a session with a budget of its own, for two calls and for four."""
    processor = init(world, 1.0)
    world.mode = "runaway"
    wanted = {"left": 2, "right": 4}

    def inside(name: str) -> object:
        with agent_fuse.session(name, budget=(wanted[name] + 0.5) * NANOS / 1e9):
            return program.agent(world, "alpha")()

    errors = side_by_side(*(partial(inside, name) for name in wanted))
    rest()
    found = Counter(one.session for one in calls(journal(processor)))
    words = [named(one) for one in errors if agent_fuse.trip_of(one) is None] if None not in errors else ["no trip"]
    words += misplaced(found, wanted)
    words += [f"{world.provider.count} sent"] if world.provider.count != sum(wanted.values()) else []
    return {"beside": "; ".join(words) or "each its own"}


def misplaced(found: Counter[str], wanted: dict[str, int]) -> list[str]:
    """Sessions with other calls than they should have, in words."""
    wrong = sorted(name for name in {*wanted, *found} if found[name] != wanted.get(name, 0))
    return [
        f"{'the process' if name.startswith('process-') else name}: {found[name]} calls, not {wanted.get(name, 0)}"
        for name in wrong
    ]


def agent(program: ModuleType, world: World) -> dict[str, str]:
    """Two agents, alpha and beta: whose name do their calls carry, and does a limit per agent find them?"""
    if not hasattr(program, "team"):
        return {"agent": "no names"}
    processor = init(world, 1.0, limits=Limit(calls=20, per="agent"))
    world.mode = "once"
    error = caught(program.team(world, ("alpha", "beta")))
    found = Counter(one.agent for one in calls(journal(processor)))
    words = " ".join(f"{name or 'nobody'}: {count}" for name, count in sorted(found.items()))
    if error is not None:
        words += f", {named(error)}: {error}"
    return {"agent": words}


def forms(program: ModuleType, world: World) -> dict[str, str]:
    """Other ways to put two agents together: is one that runs away or loops stopped, and whose are the calls of both?"""
    found = {title: _form(title, build, world) for title, build in getattr(program, "FORMS", {}).items()}
    return {"forms": "; ".join(f"{title}: {words}" for title, words in found.items())} if found else {}


def _form(title: str, build: Callable[..., Run], world: World) -> str:
    """One of them, in words."""
    processor = init(world, 1.0)
    bare, words = (world.hand_over, world.final_tool), list[str]()

    def under(mode: str, budget: float | None = None) -> tuple[int, BaseException | None, list[Entry]]:
        world.mode, (world.hand_over, world.final_tool) = mode, bare
        before, name = world.provider.count, f"{title}, {mode}"
        with agent_fuse.session(name, budget=budget):
            error = caught(build(world, ("alpha", "beta")))
        sent = world.provider.count - before
        rest()
        late = world.provider.count - before - sent
        words.extend([f"{late} later"] if late else [])
        booked = [one for one in calls(journal(processor)) if one.session == name]
        off = sum(one.cost for one in booked) / NANOS - sent
        if not 0 <= off < 1:  # what the other's trip broke off is booked at its quote
            words.append(f"{mode}: off by {off:+.2f} calls")
        return sent, error, booked

    _, failed, booked = under("once")
    names = " ".join(sorted({one.agent or "nobody" for one in booked}))
    words += [f"at first {named(failed)}"] if failed else []
    looped, looping, _ = under("loop")
    if looped > LOOPED or looping is None:  # a framework's own guard may be first
        words.append(f"looping {looped} sent and {named(looping)}")
    sent, error, _ = under("runaway", SIX)
    words += ["a hold is left"] if processor.fuse.ledger.holds() else []
    world.hand_over, world.final_tool = bare
    return ", ".join([f"{sent} sent", named(error), names, *words])


def spans(program: ModuleType, world: World) -> dict[str, str]:
    """With the framework's own spans or those of an instrumentation: are calls admitted and booked as without?"""
    if not hasattr(program, "instrument"):
        return {}
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider

    provider = TracerProvider()
    trace.set_tracer_provider(provider)
    processor = init(world, SIX)
    program.instrument(provider)
    return run_away("spans", processor, world, program.agent(world, "alpha"))


QUESTIONS: dict[str, Question] = {
    one.__name__: one for one in (stops, awaited, streamed, team, loop, session, beside, agent, forms, spans)
}
