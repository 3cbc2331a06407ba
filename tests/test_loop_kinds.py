"""Kinds of stuck and of healthy runs, with their results: each stuck one trips in time, no healthy one ever."""

import pytest

from agent_fuse.loops import (
    Level,
    LoopPolicy,
    LoopState,
    SeenCall,
    observe_call,
    observe_result,
    observe_turn,
    result_outcome,
    signature,
)

POLICY = LoopPolicy()
WORDS = ("guide", "tutorial", "docs", "how", "best", "examples", "intro", "basics", "tips", "pdf")


def mixed(*kinds, times=12):
    """So many rounds of the calls that each kind makes for a number."""
    return [kind(n) for n in range(times) for kind in kinds]


def thinking(n):
    """A thought, never the same."""
    return "think", {"thought": f"let me try {n}"}, f"noted {n}"


def hexed(n):
    """An id that looks random."""
    return f"{0x9E3779B97F4A7C15 * (n + 1) & 0xFFFFFFFFFFFFFFFF:016x}"


STUCK = {
    "only a clock time differs": mixed(lambda n: ("poll", {"q": "x", "ts": 1_700_000_000 + n}, "pending")),
    "only a text of a time differs": mixed(
        lambda n: ("status", {"job": "1", "asked": f"2026-01-01T10:00:{n:02d}Z"}, {"state": "pending"})
    ),
    "only a counter differs": mixed(lambda n: ("lookup", {"q": "x", "attempt": n}, "pending")),
    "only a number beside the question differs": mixed(lambda n: ("recall", {"q": "x", "n": n}, "pending")),
    "only white space differs": mixed(lambda n: ("search", {"q": "a" + " " * n + " b"}, "one page")),
    "the same answer, thinking between": mixed(lambda n: ("ls", {"p": "/a"}, "same"), thinking),
    "the same answer, other questions between": mixed(
        lambda n: ("ls", {"p": "/a"}, "same"), lambda n: ("search", {"q": WORDS[n % 10]}, f"page {n}")
    ),
    "a shell that asks the same, other questions between": mixed(
        lambda n: ("bash", {"command": "ls -la 2>/dev/null"}, "a.py b.py"),
        lambda n: ("bash", {"command": f"cat file{n}.py"}, f"text {n}"),
    ),
    "four answers in turn": mixed(lambda n: ("ls", {"p": "/a"}, f"answer {n % 4}")),
    "an act that does nothing, thinking between": mixed(lambda n: ("press", {"key": "enter"}, "ok"), thinking),
    "nothing found, in like words": [("search", {"query": f"python async {word}"}, "[]") for word in WORDS],
    "nothing found, said in words": mixed(
        lambda n: ("find_docs", {"text": f"invoice {n} acme"}, "No results found." if n % 2 else {"items": [], "n": 0})
    ),
    "only an id of the request differs": mixed(lambda n: ("lookup", {"q": "x", "correlationId": hexed(n)}, "pending")),
    "only a header differs": mixed(lambda n: ("get", {"url": "u", "headers": {"X-Request-Id": hexed(n)}}, "pending")),
    "only a nonce in the address differs": mixed(lambda n: ("fetch", {"url": f"https://x/a?cb={hexed(n)}"}, "pending")),
    "a question that grows": mixed(lambda n: ("web_search", {"query": "acme ceo" + " please" * n}, "no results")),
    "a question in another order": mixed(
        lambda n: ("search", {"query": " ".join([*WORDS[n % 6 :], *WORDS[: n % 6]])}, {"results": []})
    ),
    "a question with other quotes": [
        ("search", {"q": one}, "No results found")
        for one in (
            "acme ceo",
            '"acme" ceo',
            'acme "ceo"',
            '"acme ceo"',
            "acme+ceo",
            "acme ceo?",
            "acme, ceo",
            "(acme ceo)",
        )
    ],
    "the same question, for more each time": mixed(lambda n: ("search_docs", {"query": "acme", "limit": 5 + n}, "[]")),
    "an error with an id": mixed(lambda n: ("api", {"id": n}, f"Error: upstream failed, request req_{hexed(n)}")),
    "an error as JSON": mixed(
        lambda n: ("api", {"p": f"x{n}"}, {"error": {"type": "overloaded"}, "request_id": f"req_{hexed(n)}"})
    ),
    "an error in another line": mixed(lambda n: ("run", {"code": f"x{n}"}, f"SyntaxError: invalid syntax at line {n}")),
    "an error in another place": mixed(
        lambda n: ("run", {"code": f"x{n}"}, f"Error: unexpected token (line {n}, column {n + 3})")
    ),
    "an error that the shell tells": mixed(
        lambda n: ("bash", {"command": f"kubectl get pods -n n{n}"}, "bash: kubectl: command not found")
    ),
    "an error of a server, waited for longer each time": mixed(
        lambda n: ("http_get", {"url": "https://x/a", "timeout": 2**n}, "503 Service Unavailable")
    ),
    "an error of a server that says how long to wait": mixed(
        lambda n: ("http_get", {"url": f"https://x/a?page={n}"}, f"429 Too Many Requests, retry after {2**n}s")
    ),
    "an error that the tool tells of": mixed(
        lambda n: ("jira", {"id": n}, {"isError": True, "content": [{"type": "text", "text": "Request timed out"}]})
    ),
    "an error told as a state": mixed(lambda n: ("api", {"id": n}, {"status": "error", "message": "no quota"})),
    "an error that names what it did not find": mixed(
        lambda n: (
            "run_sql",
            {"query": f"SELECT {WORDS[n % 10]} FROM users"},
            f"Error: no such column: {WORDS[n % 10]}",
        )
    ),
    "a question asked for longer each time": mixed(lambda n: ("tail", {"file": "a.log", "lines": 10 * n + 10}, "[]")),
    "nothing found, with the time that it took": [
        ("search", {"query": f"John Smith acme {word}"}, {"results": [], "total": 0, "took_ms": 3 * len(word)})
        for word in WORDS
    ],
    "nothing found, said in a sentence": mixed(
        lambda n: ("research", {"question": f"who leads acme, {WORDS[n % 10]}"}, f"I was unable to find it ({n}).")
    ),
    "a job that only gets older": mixed(
        lambda n: ("job_status", {"id": 7}, {"state": "running", "progress": 12, "elapsedSeconds": 5 * n})
    ),
    "a job by a server's clock": mixed(
        lambda n: ("job_status", {"id": 7}, {"state": "running", "checked_at": 1_700_000_000 + n})
    ),
    "a job with a trace": mixed(lambda n: ("job_status", {"id": 7}, f"running (trace {hexed(n)})")),
    "a long log that ends in a time": mixed(
        lambda n: ("read_log", {"p": "a"}, "word " * 9_000 + f"2026-01-01T00:00:{n:02d}Z")
    ),
    "the same mail again": mixed(lambda n: ("send_email", {"to": "a"}, f"Email sent, id msg_{hexed(n)}")),
    "the same look, a list of things to do between": mixed(
        lambda n: ("ls", {"p": "/"}, "a b"), lambda n: ("write_todos", {"todos": [n]}, f"Updated the list to {n}")
    ),
}
STUCK_ROUNDS = {
    "a job looked at after a longer pause each time": mixed(
        lambda n: ("sleep", {"seconds": 5 + n}, f"slept {5 + n} s"), lambda n: ("get_job", {"id": 1}, "running, 40%")
    ),
    "a job looked at after a longer pause of the shell's": mixed(
        lambda n: ("bash", {"command": f"sleep {5 + n}"}, f"{n}"), lambda n: ("get_job", {"id": 1}, "running, 40%")
    ),
}
"""Each takes two calls a round."""
HEALTHY = {
    "pages": mixed(lambda n: ("list", {"page": n}, f"items{n}")),
    "ok for different objects": mixed(lambda n: ("check", {"id": n}, {"status": "ok"})),
    "sent to different people": mixed(lambda n: ("send_email", {"to": f"u{n}@x.org", "body": "hello all"}, "Email sent")),
    "the same answer for different objects": mixed(lambda n: ("check_stock", {"sku": 1_000 + n}, "in stock")),
    "no for different numbers": mixed(lambda n: ("is_prime", {"n": n}, False)),
    "nothing found for different objects": [("list_errors", {"service": word}, "[]") for word in WORDS],
    "nothing found in unlike words": [("search", {"query": word}, "[]") for word in WORDS],
    "the same question after each change": mixed(
        lambda n: ("run_tests", {}, "2 failed"), lambda n: ("edit", {"f": "a", "n": n}, "ok")
    ),
    "the same command after each change": mixed(
        lambda n: ("bash", {"command": "pytest -q"}, "2 failed"),
        lambda n: ("bash", {"command": f"sed -i s/a/{n}/ a.py"}, ""),
    ),
    "reading again after each edit": mixed(
        lambda n: ("read", {"f": "a"}, f"v{n}"), lambda n: ("edit", {"f": "a", "n": n}, "ok")
    ),
    "polling that gets on": mixed(lambda n: ("job_status", {"id": 7}, f"{n * 8}%")),
    "polling that gets on, timed": mixed(lambda n: ("poll", {"id": 7, "ts": 1_700_000_000 + n}, f"{n * 8}%")),
    "wait and look": mixed(
        lambda n: ("wait", {}, "waited 5 seconds"), lambda n: ("look", {}, f"stage {n}"),
    ),
    "nothing found, of the same kind in other places": [
        ("search_hotels", {"city": word, "query": "five star hotel"}, "[]") for word in WORDS
    ],
    "nothing found in the same folder": [
        ("grep", {"pattern": word, "path": "src"}, "No matches found") for word in WORDS
    ],
    "no file holds it": [("bash", {"command": f"grep -rn '{word}' src/"}, "") for word in WORDS],
    "empty files": mixed(lambda n: ("bash", {"command": f"cat f{n}.txt"}, "")),
    "no such host": [("lookup", {"host": f"{word}.example.com"}, "NXDOMAIN") for word in WORDS],
    "rows put in": mixed(lambda n: ("execute_sql", {"query": f"INSERT INTO t VALUES ({n}, 'a')"}, "1 row affected")),
    "no rows on other days": mixed(
        lambda n: ("execute_sql", {"query": f"SELECT * FROM errors WHERE day = '2026-01-{n + 1:02d}'"}, "[]")
    ),
    "no room at other times": mixed(lambda n: ("check_slot", {"start": f"2026-03-01T{n + 8:02d}:00:00Z"}, "busy")),
    "nothing logged in other hours": mixed(
        lambda n: ("get_logs", {"start": 1_700_006_400 + 3_600 * n, "level": "error"}, "[]")
    ),
    "objects known by a random id": mixed(lambda n: ("get_record", {"uuid": hexed(n)}, "active")),
    "the same error between successes": mixed(
        lambda n: ("fetch", {"u": n}, f"Error: timeout (request req_{hexed(n)})"),
        lambda n: ("fetch", {"u": n}, f"page {n}"),
    ),
    "a field for errors, with none": mixed(lambda n: ("get_user", {"id": n}, {"id": n, "error": None})),
    "a job that gets on between pauses": mixed(
        lambda n: ("sleep", {"seconds": 30}, "slept"), lambda n: ("get_job", {"id": 7}, f"running, {n * 8}%")
    ),
    "tests after what was waited for": mixed(
        lambda n: ("wait_for_deploy", {"id": n}, f"deployed {n}"), lambda n: ("run_tests", {}, "2 failed")
    ),
    "a server that is busy at times": mixed(
        lambda n: ("http_get", {"url": f"u?page={n}"}, "503 Service Unavailable"),
        lambda n: ("http_get", {"url": f"u?page={n}"}, f"rows {n}"),
    ),
    "figures that look like a server's": mixed(lambda n: ("count_rows", {"table": f"t{n}"}, "503 rows")),
    "not found for different objects": mixed(lambda n: ("get_user", {"id": n}, "404 Not Found")),
    "other servers' errors": [
        ("http_get", {"url": f"u{n}"}, ("503 Service Unavailable", "403 Forbidden")[n % 2]) for n in range(12)
    ],
    "a list of things to do, and work": mixed(
        lambda n: ("todo_write", {"todos": [n]}, "Todos updated"), lambda n: ("write_file", {"path": f"{n}"}, "ok")
    ),
    "another question, after one asked as often as may be": [
        *[("search", {"query": "python tutorial"}, "a page")] * POLICY.threshold,
        ("search", {"query": "rust tutorial"}, "another page"),
    ],
    "a retry that succeeds": [("fetch", {"u": 1}, "Error: timeout")] * 3 + [("fetch", {"u": 1}, "a page")],
}  # fmt: skip


def trips_at(run):
    """The number of the call that trips, with how often its tool had been called; None for a run that passes."""
    state, calls = LoopState(), []
    for number, (tool, args, result) in enumerate(run, 1):
        action = signature(tool, args)
        state, verdict = observe_call(state, action, POLICY)
        calls.append(tool)
        if verdict.level is Level.TRIP:
            return number, calls.count(tool)
        state = observe_result(LoopState.from_bytes(state.to_bytes()), action, result_outcome(result))
    return None


@pytest.mark.parametrize("kind", STUCK)
def test_stuck_kind_trips_in_time(kind):
    """A stuck call trips within twice the threshold."""
    found = trips_at(STUCK[kind])
    assert found is not None
    assert POLICY.threshold < found[0] <= 2 * POLICY.threshold + 2


@pytest.mark.parametrize("kind", STUCK_ROUNDS)
def test_stuck_rounds_trip_in_time(kind):
    """A pause is no news, however long it is: the question that it parts trips as it would alone."""
    found = trips_at(STUCK_ROUNDS[kind])
    assert found is not None
    assert found[0] == 2 * POLICY.threshold + 2


def test_a_call_whose_result_a_turn_does_not_tell_is_counted():
    """Nobody knows what came of it: the turn is judged all the same, and what did fail in it is learned from."""
    state = LoopState()
    for number in range(POLICY.threshold):
        told = SeenCall(bytes([number] * 8), signature("search", {"q": "x"}), None)
        state, verdict, _ = observe_turn(state, [told], POLICY)
        assert verdict.level is not Level.TRIP
    state, verdict, action = observe_turn(state, [SeenCall(b"the last", signature("search", {"q": "x"}), None)], POLICY)
    assert (verdict.level, action) == (Level.TRIP, signature("search", {"q": "x"}))


@pytest.mark.parametrize("kind", HEALTHY)
def test_healthy_kind_passes(kind):
    """Work is no loop."""
    assert trips_at(HEALTHY[kind]) is None
