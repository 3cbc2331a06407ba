"""From a real call to a panel: instrumented SDK, AgentFuse, OTLP, a real collector, a real store, and PromQL."""

import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest
import yaml

from agent_fuse.calls import Entry, Status
from agent_fuse.ledgers import open_ledger
from agent_fuse.ledgers.base import Meter
from agent_fuse.telemetry import instruments as table
from agent_fuse.testing import LedgerReader

from .conftest import CONFIG, ROOT, Store, binary, free_port

EXAMPLES = ROOT / "examples" / "observability"
DASHBOARD = json.loads((EXAMPLES / "dashboard.json").read_text())
RULES = {
    rule["alert"]: rule
    for group in yaml.safe_load((EXAMPLES / "alerts.yaml").read_text())["groups"]
    for rule in group["rules"]
}
PANELS = {panel["title"]: [target["expr"] for target in panel["targets"]] for panel in DASHBOARD["panels"]}

Figures = dict[tuple[str, ...], float]


class App:
    """The application, driven step by step."""

    def __init__(self, protocol: str, endpoint: str, path: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("app.py")), protocol, endpoint, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def step(self, name: str) -> dict[str, int]:
        self.process.stdin.write(f"{name}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, self.process.stderr.read()
        return json.loads(answer)

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()
        self.process.stderr.close()


@pytest.fixture(params=["http", "grpc"])
def app(request: pytest.FixtureRequest, pieces: dict[str, Any], tmp_path: Path) -> Iterator[App]:
    one = App(request.param, pieces[request.param], tmp_path / "ledger.db")
    yield one
    one.close()


def ask(store: Store, expr: str) -> Figures:
    """What a panel or alert would show now; Grafana's variables are an hour."""
    expr = re.sub(r"\$__(range|rate_interval|interval)", "1h", expr)
    return {
        tuple(value for name, value in sorted(labels.items()) if name != "__name__"): value
        for labels, value in store.query(expr)
    }


def summed(entries: Iterable[Entry], key: Any, amount: Any) -> Figures:
    found: Counter[tuple[str, ...]] = Counter()
    for entry in entries:
        found[key(entry)] += amount(entry)
    return dict(found)


def usd(nanos: float) -> float:
    return nanos / 10**9


def expected(books: LedgerReader) -> dict[str, list[Figures]]:
    """What every panel must show, from the ledger alone, by its title."""
    booked = books.entries(Status.SETTLED, Status.ESTIMATED, Status.PRESUMED)
    calls = [entry for entry in booked if entry.operation != "execute_tool"]
    refused = books.entries(Status.REFUSED)
    session, everything = books.balance("session=run-1"), books.balance("all")
    limits = {
        "$0.01 per session": (usd(session.settled.usd), usd(session.held.usd), 0.01),
        "100 calls in all": (everything.settled.calls, everything.held.calls, 100),
        "3 tool calls in all": (everything.settled.tool_calls, everything.held.tool_calls, 3),
    }
    spent = books.spent("all")
    by_type = summed(calls, lambda one: (one.model, "input"), lambda one: one.input_tokens)
    by_type |= summed(calls, lambda one: (one.model, "output"), lambda one: one.output_tokens)
    used = {name: (settled + held) / cap for name, (settled, held, cap) in limits.items()}
    failing = {("reserve",): 0, ("settle",): 0, ("balances",): 0}
    marks = {
        "$0.01 per session": "warned/usd/10000000/session=run-1",
        "100 calls in all": "warned/calls/100/all",
        "3 tool calls in all": "warned/tool_calls/3/all",
    }
    passed = {
        name: float(books.ledger.update_note(key, lambda note: (note, note or 0), now=0)) for name, key in marks.items()
    }
    shares = [(name, share) for name in limits for share in (0.5, 0.8, 0.95) if passed[name] >= share]
    assert ("$0.01 per session", 0.8) in shares
    return {
        "Spent, whole ledger": [{(): usd(spent)}],
        "Spent in this range": [{(): usd(spent)}],
        "Refused in this range": [{(): len(refused)}],
        "Open calls": [{(): 0}],
        "Blind spots": [{(): 0}],
        "Ledger failures in this range": [{(): 0}],
        "Limits: used": [{(name,): share for name, share in used.items()}],
        "Limits: figures": [{(name,): figures[column] for name, figures in limits.items()} for column in range(3)],
        "Spend by model": [summed(calls, lambda one: (one.model,), lambda one: usd(one.cost))],
        "Spend by agent": [{(): usd(spent)}],
        "Who spent what, live processes": [
            summed(calls, lambda one: (one.model, one.provider)[::-1], lambda one: usd(one.cost))
        ],
        "Tokens by model": [by_type],
        "Refusals by reason and limit": [
            {
                ("$0.01 per session", "budget"): len(refused),
                ("100 calls in all", "budget"): 0,
                ("3 tool calls in all", "budget"): 0,
            }
            | {("loop",): 0, ("system",): 0}
        ],
        "Warnings by limit and share": [{(name, "limit", f"{share:g}"): 1 for name, share in shares}],
        "Model calls by how they were booked": [summed(calls, lambda one: (str(one.status),), lambda _: 1)],
        "Tool actions": [{(): books.spent("all", Meter.TOOL_CALLS)}],
        "What is blind": [{}],
        "What of the ledger fails": [failing],
    }


def nanos(figures: Figures) -> dict[tuple[str, ...], int]:
    return {key: round(value * 10**9) for key, value in figures.items()}


@pytest.mark.collector
def test_every_panel_shows_what_the_ledger_holds(app: App, pieces: dict[str, Any], tmp_path: Path) -> None:
    """Real calls, a real collector: each panel and the costs on spans are the ledger, to the nano-dollar; alerts tell."""
    store: Store = pieces["store"]
    assert set(ask(store, RULES["AgentFuseSilent"]["expr"])) == {()}
    app.step("first")
    app.step("spend")
    store.wait_for("agent_fuse_calls_total{agent_fuse_call_status='estimated'}")
    assert fires(store) == set()
    done = app.step("overspend")
    assert done["refused"] == 2
    store.wait_for("sum(agent_fuse_trips_total) > 1")

    ledger = open_ledger(tmp_path / "ledger.db")
    books = LedgerReader(ledger)
    want = expected(books)
    assert books.spent("all") > 0.008 * 10**9
    assert set(want) | {"Time in gates, 99th percentile"} == set(PANELS), "a panel is not tested"
    for title, figures in want.items():
        assert [nanos(ask(store, expr)) for expr in PANELS[title]] == [nanos(one) for one in figures], title
    [gates] = (ask(store, expr) for expr in PANELS["Time in gates, 99th percentile"])
    assert set(gates) == {("client",), ("request",), ("tool",)}
    assert all(0 < seconds <= 5 for seconds in gates.values())
    assert fires(store) == {"AgentFuseLimitNearlyUsed", "AgentFuseRefusing"}
    assert ask(store, RULES["AgentFuseRefusing"]["expr"]) == {("$0.01 per session", "budget"): 2}

    marked = pieces["traces"].marked
    wait_until(lambda: sum("agent_fuse.refused" in one for one in marked()) == 2)
    costs = [one["gen_ai.usage.cost.amount"] for one in marked() if "gen_ai.usage.cost.amount" in one]
    assert round(sum(costs) * 10**9) == books.spent("all"), "costs on the spans that were passed on do not add up"
    assert len(costs) == books.spent("all", Meter.CALLS)

    app.step("go blind")
    store.wait_for(RULES["AgentFuseBlind"]["expr"])
    assert "AgentFuseBlind" in fires(store)
    [(spot,)] = ask(store, RULES["AgentFuseBlind"]["expr"])
    assert spot == "the sampler TraceIdRatioBased{0.99} drops spans"
    assert nanos(ask(store, PANELS["Blind spots"][0])) == {(): 10**9}
    with holding(tmp_path / "ledger.db"):
        app.step("call")
    store.wait_for(RULES["AgentFuseLedgerFailing"]["expr"])
    assert "AgentFuseLedgerFailing" in fires(store)
    assert ask(store, "sum(agent_fuse_trips_total{agent_fuse_refused_reason='system'})") == {(): 1}
    ledger.close()


@pytest.mark.collector
def test_configuration_needs_no_contrib() -> None:
    """The configuration is valid as it is, names core components only, and listens on loopback by default."""
    done = subprocess.run(
        [binary("otelcol"), "validate", "--config", str(CONFIG)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    config = yaml.safe_load(CONFIG.read_text())
    kinds = {name.partition("/")[0] for part in ("receivers", "processors", "exporters") for name in config[part]}
    assert kinds == {"otlp", "memory_limiter", "batch", "otlphttp", "debug"}
    assert [one["endpoint"].partition(":-")[2][:9] for one in config["receivers"]["otlp"]["protocols"].values()] == [
        "127.0.0.1"
    ] * 2
    assert all(pipeline["processors"][0] == "memory_limiter" for pipeline in config["service"]["pipelines"].values())


@pytest.mark.collector
def test_the_example_runs() -> None:
    """`make observability` starts the pieces, spends, and prints figures that match its own budget and refusal."""
    binary("otelcol"), binary("victoria-metrics")
    ports = {"COLLECTOR_PORT": str(free_port()), "STORE_PORT": str(free_port())}
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "run.py")],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=os.environ | ports,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "call to gpt-4o" in done.stdout
    assert re.search(r"Refused in this range +1\n", re.sub(r" +\n", "\n", done.stdout)), done.stdout
    assert "AgentFuseLimitNearlyUsed\n  AgentFuseRefusing\n" in done.stdout


def test_queries_name_metrics_that_there_are() -> None:
    """Every metric and label in the dashboard and the alerts is in the table of instruments, under its PromQL name."""
    names = {one.prometheus for one in table.TABLE} | {f"{table.DURATION.prometheus}_bucket"}
    labels = {name.replace(".", "_") for name in table.ATTRIBUTES}
    queries = [expr for exprs in PANELS.values() for expr in exprs] + [rule["expr"] for rule in RULES.values()]
    used = {word for expr in queries for word in re.findall(r"\b(?:agent_fuse|gen_ai)_\w+", expr)}
    assert used <= names | labels
    assert used & names == names - {
        f"{table.DURATION.prometheus}",
    }, "a metric is on no panel and in no alert"


def fires(store: Store) -> set[str]:
    """The alerts whose expression returns something."""
    return {name for name, rule in RULES.items() if ask(store, rule["expr"])}


@contextmanager
def holding(path: Path) -> Iterator[None]:
    """Another process's endless transaction: nobody can write."""
    other = apsw.Connection(str(path))
    other.execute("BEGIN IMMEDIATE")
    yield
    other.execute("ROLLBACK")
    other.close()


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)
