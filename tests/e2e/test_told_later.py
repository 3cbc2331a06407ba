"""Work that goes on at the provider: held when it is begun, settled by whichever answer tells what it cost."""

import asyncio
import io
import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, cast

import anthropic
import openai
import pytest
from opentelemetry.instrumentation.openai.v1 import responses_wrappers

from agent_fuse import SentinelBudgetExceeded, containers, init
from agent_fuse.accounting.later import LATER_SECONDS
from agent_fuse.calls import Entry, Status
from agent_fuse.ledgers.base import Ledger
from agent_fuse.ledgers.sqlite import SqliteLedger
from agent_fuse.otel import active

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # assistants cost money to their end

Answers = dict[str, Any]
Run = Callable[..., str]


class Server(ThreadingHTTPServer):
    """Answers by `METHOD path` with what `answers` holds: an object as JSON, a list as events, text, or their maker."""

    answers: Answers

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = {}
        self.received: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        asked = f"{self.command} {self.path.partition('?')[0].removeprefix('/v1')}"
        self.server.received.append(asked)
        answer = self.server.answers[asked]
        if callable(answer):
            answer = answer()
        kind = "application/json"
        if isinstance(answer, list):
            kind, answer = "text/event-stream", "".join(f"data: {json.dumps(one)}\n\n" for one in answer)
        body = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST  # noqa: N815 - the name that http.server asks for

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture(autouse=True)
def _no_response_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Traceloop keeps what a response used until it is cancelled, by its id: here every test has the same."""
    monkeypatch.setattr(responses_wrappers, "responses", {})


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


class Desk:
    """A ledger file, clients, and what the books say."""

    def __init__(self, server: Server, path: Any) -> None:
        self.ledger: Ledger = init(budget=1_000, session_id="s", db_path=str(path)).fuse.ledger
        self.openai = openai.OpenAI(base_url=f"{server.url}/v1", api_key="x", max_retries=0)
        self.anthropic = anthropic.Anthropic(base_url=server.url, api_key="x", max_retries=0)

    def close(self) -> None:
        self.openai.close()
        self.anthropic.close()

    @property
    def held(self) -> int:
        return self.ledger.balances(["session=s"])["session=s"].held.usd

    @property
    def spent(self) -> int:
        return self.ledger.balances(["session=s"])["session=s"].settled.usd

    def settled(self) -> Entry:
        """The only line of the journal, nothing being held any more."""
        lines = list(self.ledger.journal())
        assert len(lines) == 1, "\n".join(map(str, lines))
        (entry,) = lines
        assert not self.ledger.holds()
        assert self.held == 0
        assert self.spent == entry.cost
        return entry


@pytest.fixture
def desk(server: Server, tmp_path: Any) -> Iterator[Desk]:
    one = Desk(server, tmp_path / "ledger.db")
    yield one
    one.close()


def response(status: str, usage: Any = None, **more: Any) -> dict[str, Any]:
    parts = {"output": [], "parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
    one = {"id": "resp_1", "object": "response", "created_at": 1, "model": "gpt-4o", "background": True}
    return {**one, **parts, "status": status, "usage": usage, **more}


USAGE = {
    "input_tokens": 1000,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens": 100,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 1100,
}
COST = 1000 * 2_500 + 100 * 10_000
"""USAGE at the price of gpt-4o, in nano-dollars."""


def begin(server: Server, desk: Desk, **options: Any) -> Any:
    server.answers["POST /responses"] = response("queued")
    return desk.openai.responses.create(model="gpt-4o", input="hi", background=True, **options)


def test_a_background_response_is_held_until_it_is_retrieved(server: Server, desk: Desk) -> None:
    """Nothing is settled while it goes on; what it used is booked once, however often it is asked for."""
    begin(server, desk)
    held = desk.held
    assert held > 0
    server.answers["GET /responses/resp_1"] = response("in_progress")
    desk.openai.responses.retrieve("resp_1")
    assert (desk.held, desk.spent) == (held, 0)
    server.answers["GET /responses/resp_1"] = response("completed", USAGE)
    for _ in range(2):
        desk.openai.responses.retrieve("resp_1")
    entry = desk.settled()
    assert (entry.status, entry.cost, entry.response_id) == (Status.SETTLED, COST, "resp_1")
    assert (entry.input_tokens, entry.output_tokens, entry.operation) == (1000, 100, "chat")


def retrieved_async(desk: Desk) -> object:
    async def run() -> object:
        base = str(desk.openai.base_url)
        async with openai.AsyncOpenAI(base_url=base, api_key="x", max_retries=0) as client:
            return await client.responses.retrieve("resp_1")

    return asyncio.run(run())


def retrieved_unparsed(desk: Desk) -> object:
    with desk.openai.responses.with_streaming_response.retrieve("resp_1") as raw:
        return raw.read()


ENDS: dict[str, tuple[str, Any, Callable[[Desk], object]]] = {
    "async": ("GET /responses/resp_1", response("completed", USAGE), retrieved_async),
    "raw": (
        "GET /responses/resp_1",
        response("completed", USAGE),
        lambda desk: desk.openai.responses.with_raw_response.retrieve("resp_1").parse(),
    ),
    "read as a stream": ("GET /responses/resp_1", response("incomplete", USAGE), retrieved_unparsed),
    "streamed": (
        "GET /responses/resp_1",
        [
            {"type": "response.created", "sequence_number": 0, "response": response("queued")},
            {"type": "response.completed", "sequence_number": 1, "response": response("completed", USAGE)},
        ],
        lambda desk: list(desk.openai.responses.retrieve("resp_1", stream=True)),
    ),
    "cancelled": (
        "POST /responses/resp_1/cancel",
        response("cancelled", USAGE),
        lambda desk: desk.openai.responses.cancel("resp_1"),
    ),
    "at a service tier": (
        "GET /responses/resp_1",
        response("completed", USAGE, service_tier="default"),
        lambda desk: desk.openai.responses.retrieve("resp_1"),
    ),
}


@pytest.mark.parametrize("name", ENDS)
def test_however_its_end_is_told(server: Server, desk: Desk, name: str) -> None:
    """Retrieved, streamed or cancelled, with every kind of client call."""
    begin(server, desk)
    where, answer, ask = ENDS[name]
    server.answers[where] = answer
    ask(desk)
    entry = desk.settled()
    assert (entry.status, entry.cost) == (Status.SETTLED, COST)


def test_a_stream_that_is_left_goes_on(server: Server, desk: Desk) -> None:
    """A background response is not broken off with its stream: it is held, and told of later."""
    begun = {"type": "response.created", "sequence_number": 0, "response": response("queued")}
    more = {"type": "response.in_progress", "sequence_number": 1, "response": response("in_progress")}
    server.answers["POST /responses"] = [begun, *[more] * 50]
    with desk.openai.responses.create(model="gpt-4o", input="hi", background=True, stream=True) as stream:
        next(iter(stream))
    assert desk.held > 0
    assert desk.spent == 0
    server.answers["GET /responses/resp_1"] = response("completed", USAGE)
    desk.openai.responses.retrieve("resp_1")
    assert desk.settled().cost == COST


def test_one_that_failed_costs_nothing(server: Server, desk: Desk) -> None:
    """A response that failed without usage gives its hold back."""
    begin(server, desk)
    server.answers["GET /responses/resp_1"] = response("failed", error={"code": "server_error", "message": "x"})
    desk.openai.responses.retrieve("resp_1")
    assert (desk.held, desk.spent) == (0, 0)
    assert not list(desk.ledger.journal())


def test_one_cancelled_without_usage_is_booked_at_its_quote(server: Server, desk: Desk) -> None:
    """What cannot be read is not free."""
    begin(server, desk)
    held = desk.held
    server.answers["POST /responses/resp_1/cancel"] = response("cancelled")
    desk.openai.responses.cancel("resp_1")
    entry = desk.settled()
    assert (entry.status, entry.cost) == (Status.ESTIMATED, held)


def test_held_work_counts_against_the_budget(server: Server, tmp_path: Any) -> None:
    """While it goes on, what it may cost is not there for others."""
    one = Desk(server, tmp_path / "ledger.db")
    init(budget=0.011, session_id="s", db_path=str(tmp_path / "ledger.db"))
    begin(server, one, max_output_tokens=1_000)
    with pytest.raises(SentinelBudgetExceeded):
        begin(server, one, max_output_tokens=1_000)
    assert server.received == ["POST /responses"]
    server.answers["GET /responses/resp_1"] = response("completed", USAGE)
    one.openai.responses.retrieve("resp_1")  # asking after it is no call, whatever is left
    assert (one.held, one.spent) == (0, COST)
    one.close()


ELSEWHERE = """
import sys, agent_fuse, openai
agent_fuse.init(budget=1_000, session_id=sys.argv[3], db_path=sys.argv[2])
client = openai.OpenAI(base_url=sys.argv[1] + "/v1", api_key="x", max_retries=0)
if sys.argv[4] == "begin":
    client.responses.create(model="gpt-4o", input="hi", background=True)
else:
    client.responses.retrieve("resp_1")
"""


def test_another_process_tells(server: Server, tmp_path: Any, elsewhere: Run) -> None:
    """Begun in a process that is gone, it stays held; a third process, of another session, settles it where it was."""
    path = str(tmp_path / "ledger.db")
    server.answers["POST /responses"] = response("queued")
    server.answers["GET /responses/resp_1"] = response("completed", USAGE)

    elsewhere(ELSEWHERE, server.url, path, "s", "begin")
    ledger = SqliteLedger(tmp_path / "ledger.db")
    assert ledger.sweep(now=0) == []
    (hold,) = ledger.holds()
    assert hold.amounts.usd > 0
    elsewhere(ELSEWHERE, server.url, path, "other", "tell")
    (entry,) = ledger.journal()
    assert (entry.session, entry.cost, entry.status) == ("s", COST, Status.SETTLED)
    assert not ledger.holds()
    assert "session=other" not in dict(ledger.accounts())
    ledger.close()


def test_after_it_expired_the_truth_still_counts(server: Server, desk: Desk) -> None:
    """A hold that nobody told of is presumed spent in the end; what is told after that corrects it."""
    begin(server, desk)
    (hold,) = desk.ledger.holds()
    assert hold.expires_at - hold.entry.at >= LATER_SECONDS
    assert [one.status for one in desk.ledger.sweep(now=hold.expires_at + 1)] == [Status.PRESUMED]
    server.answers["GET /responses/resp_1"] = response("completed", USAGE)
    desk.openai.responses.retrieve("resp_1")
    entry = desk.settled()
    assert (entry.status, entry.cost) == (Status.SETTLED, COST)


# Batches -------------------------------------------------------------------------------------------------------------


def batch(status: str, completed: int = 0, **more: Any) -> dict[str, Any]:
    counts = {"total": 2, "completed": completed, "failed": 0}
    one = {"id": "batch_1", "object": "batch", "endpoint": "/v1/chat/completions", "input_file_id": "file_1"}
    return {**one, "completion_window": "24h", "created_at": 1, "status": status, "request_counts": counts, **more}


def begin_batch(server: Server, desk: Desk) -> None:
    server.answers["POST /batches"] = batch("validating")
    desk.openai.batches.create(input_file_id="file_1", endpoint="/v1/chat/completions", completion_window="24h")
    assert desk.held > 0
    assert desk.spent == 0


@pytest.mark.parametrize("stream", [False, True])
def test_a_batch_is_quoted_by_the_lines_of_its_file(server: Server, desk: Desk, stream: bool) -> None:
    """A file seen as it was uploaded is quoted line by line, at half the price of the same requests."""
    body = {"model": "gpt-4o", "max_tokens": 1_000, "messages": [{"role": "user", "content": "hi"}]}
    line = {"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": body}
    lines = b"".join(json.dumps(line).encode() + b"\n" for _ in range(1_500))
    server.answers["POST /files"] = {"id": "file_1", "object": "file", "purpose": "batch"}
    desk.openai.files.create(file=("a.jsonl", io.BytesIO(lines) if stream else lines), purpose="batch")
    assert (desk.held, desk.spent) == (0, 0)
    begin_batch(server, desk)
    of_output = 1_500 * 1_000 * 5_000
    assert of_output < desk.held < of_output * 1.01


def test_a_batch_is_settled_by_the_usage_it_tells(server: Server, desk: Desk) -> None:
    """Once it is completed, at half the price."""
    begin_batch(server, desk)
    empty = {**USAGE, "input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
    server.answers["GET /batches/batch_1"] = batch("in_progress", 1, usage=empty)
    desk.openai.batches.retrieve("batch_1")
    assert desk.spent == 0
    server.answers["GET /batches/batch_1"] = batch("completed", 2, usage=USAGE, model="gpt-4o")
    desk.openai.batches.retrieve("batch_1")
    entry = desk.settled()
    assert (entry.status, entry.cost, entry.model) == (Status.SETTLED, COST // 2, "gpt-4o")


def test_a_batch_is_settled_by_its_results(server: Server, desk: Desk) -> None:
    """Where the batch itself tells no usage, every line of its output does, each by its own model."""
    begin_batch(server, desk)
    server.answers["GET /batches/batch_1"] = batch("completed", 2, output_file_id="file_2")
    desk.openai.batches.retrieve("batch_1")
    assert desk.spent == 0
    usage = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
    bodies = [
        {"id": "c", "object": "chat.completion", "model": one, "usage": usage} for one in ("gpt-4o", "gpt-4o-mini")
    ]
    lines = [{"id": "r", "custom_id": "1", "response": {"status_code": 200, "body": body}} for body in bodies]
    server.answers["GET /files/file_2/content"] = "\n".join(map(json.dumps, lines))
    for _ in range(2):
        desk.openai.files.content("file_2").read()
    entry = desk.settled()
    assert entry.cost == COST // 2 + (1000 * 150 + 100 * 600) // 2
    assert (entry.input_tokens, entry.output_tokens) == (2000, 200)


def test_a_batch_of_videos_is_half_their_price(server: Server, desk: Desk) -> None:
    """Held by the lines of its file, booked by the clips that were made; one that failed costs nothing."""
    asked = {"model": "sora-2", "prompt": "a cat", "seconds": "8"}
    line = {"custom_id": "1", "method": "POST", "url": "/v1/videos", "body": asked}
    server.answers["POST /files"] = {"id": "file_1", "object": "file", "purpose": "batch"}
    lines = b"".join(json.dumps(line).encode() + b"\n" for _ in range(3))
    with desk.openai.files.with_streaming_response.create(file=("a.jsonl", lines), purpose="batch") as uploaded:
        uploaded.read()
    begin_batch(server, desk)
    assert desk.held == 3 * 400_000_000
    server.answers["GET /batches"] = page(batch("completed", 2, output_file_id="file_2"))
    assert every(desk.openai.batches.list()) == 1
    clips = [video(status, **SMALL) for status in ("completed", "completed", "failed")]
    told = [{"id": "r", "custom_id": "1", "response": {"status_code": 200, "body": body}} for body in clips]
    server.answers["GET /files/file_2/content"] = "\n".join(map(json.dumps, told))
    desk.openai.files.content("file_2").read()
    entry = desk.settled()
    assert (entry.cost, entry.model) == (2 * 400_000_000, "sora-2")


BATCH_ELSEWHERE = """
import sys, agent_fuse, openai
agent_fuse.init(budget=1_000, session_id=sys.argv[3], db_path=sys.argv[2])
client = openai.OpenAI(base_url=sys.argv[1] + "/v1", api_key="x", max_retries=0)
if sys.argv[4] == "retrieve":
    client.batches.retrieve("batch_1")
else:
    with client.files.with_streaming_response.content("file_2") as answer:
        for _ in answer.iter_bytes(): pass
"""


def an_output(server: Server) -> None:
    usage = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
    body = {"id": "c", "object": "chat.completion", "model": "gpt-4o", "usage": usage}
    line = {"id": "r", "custom_id": "1", "response": {"status_code": 200, "body": body}}
    server.answers["GET /batches/batch_1"] = batch("completed", 2, output_file_id="file_2")
    server.answers["GET /files/file_2/content"] = json.dumps(line)


def test_results_are_read_in_a_process_that_never_saw_the_batch(
    server: Server, desk: Desk, tmp_path: Any, elsewhere: Run
) -> None:
    """One process began it, another saw that it was done, a third streams its output."""
    begin_batch(server, desk)
    an_output(server)
    for what in ("retrieve", "content"):
        elsewhere(BATCH_ELSEWHERE, server.url, str(tmp_path / "ledger.db"), "other", what)
    entry = desk.settled()
    assert (entry.session, entry.cost, entry.status) == ("s", COST // 2, Status.SETTLED)


def test_a_batch_whose_results_are_booked_is_over(server: Server, desk: Desk) -> None:
    """Asked after again, and read again, it is told of no second time."""
    begin_batch(server, desk)
    an_output(server)
    events: list[Any] = []
    active.guards()[0].fuse.listen(events.append)
    for _ in range(3):
        desk.openai.batches.retrieve("batch_1")
        desk.openai.files.content("file_2").read()
    assert desk.settled().cost == COST // 2
    assert len(events) == 1


def test_results_of_a_batch_that_nobody_saw(server: Server, tmp_path: Any, desk: Desk, elsewhere: Run) -> None:
    """They are a call of whoever reads them, once, in whichever process, at the batch price."""
    an_output(server)
    for _ in range(2):
        desk.openai.files.content("file_2").read()
    elsewhere(BATCH_ELSEWHERE, server.url, str(tmp_path / "ledger.db"), "other", "content")
    entry = desk.settled()
    assert (entry.session, entry.cost, entry.status, entry.model) == ("s", COST // 2, Status.SETTLED, "gpt-4o")
    assert (entry.input_tokens, entry.output_tokens, entry.response_id) == (1000, 100, "file_2")


@pytest.mark.parametrize("more", [{}, {"usage": USAGE, "model": "gpt-4o"}], ids=["by its file", "by its usage"])
def test_a_batch_is_no_second_call_beside_its_results(server: Server, desk: Desk, more: Any) -> None:
    """Seen done after its results were read, it gives its hold back; its own usage is not booked beside them."""
    begin_batch(server, desk)
    an_output(server)
    desk.openai.files.content("file_2").read()
    assert desk.held > 0
    server.answers["GET /batches/batch_1"] = batch("completed", 2, output_file_id="file_2", **more)
    for _ in range(2):
        desk.openai.batches.retrieve("batch_1")
        desk.openai.files.content("file_2").read()
    assert desk.settled().cost == COST // 2


def test_results_are_no_second_call_beside_their_batch(server: Server, desk: Desk) -> None:
    """A batch that told its usage itself is booked; reading its results adds nothing."""
    begin_batch(server, desk)
    an_output(server)
    told = batch("completed", 2, usage=USAGE, model="gpt-4o", output_file_id="file_2")
    server.answers["GET /batches/batch_1"] = told
    desk.openai.batches.retrieve("batch_1")
    for _ in range(2):
        desk.openai.files.content("file_2").read()
    assert desk.settled().cost == COST // 2


@pytest.mark.parametrize("line", [{"usage": USAGE}, {"response": {"body": {"usage": USAGE}}}, {"custom_id": "1"}])
def test_another_file_is_no_result(server: Server, desk: Desk, line: Any) -> None:
    """Files of another kind, and lines of requests that failed, cost nothing."""
    server.answers["GET /files/file_2/content"] = json.dumps(line) + "\n"
    desk.openai.files.content("file_2").read()
    assert not list(desk.ledger.journal())


@pytest.mark.parametrize("status", ["failed", "expired", "cancelled"])
def test_a_batch_of_which_nothing_was_done_costs_nothing(server: Server, desk: Desk, status: str) -> None:
    """Its hold is given back."""
    begin_batch(server, desk)
    server.answers["GET /batches/batch_1"] = batch(status)
    desk.openai.batches.retrieve("batch_1")
    assert (desk.held, desk.spent) == (0, 0)


MESSAGE: Any = {"model": "claude-sonnet-4-5", "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]}


def message_batch(url: str, status: str, succeeded: int) -> dict[str, Any]:
    counts = {"processing": 0, "succeeded": succeeded, "errored": 0, "canceled": 0, "expired": 0}
    one = {"id": "msgbatch_1", "type": "message_batch", "processing_status": status, "request_counts": counts}
    return {**one, "created_at": "2026-11-01T00:00:00Z", "results_url": f"{url}/v1/messages/batches/msgbatch_1/results"}


@pytest.mark.parametrize("beta", [False, True])
def test_a_message_batch_is_settled_by_its_results(server: Server, desk: Desk, beta: bool) -> None:
    """Each message at half the price."""
    batches: Any = desk.anthropic.beta.messages.batches if beta else desk.anthropic.messages.batches
    server.answers["POST /messages/batches"] = message_batch(server.url, "in_progress", 0)
    batches.create(requests=[{"custom_id": str(one), "params": MESSAGE} for one in range(2)])
    assert desk.held > 0
    server.answers["GET /messages/batches/msgbatch_1"] = message_batch(server.url, "ended", 2)
    usage = {"input_tokens": 1000, "output_tokens": 100}
    message = {"id": "m", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "content": []}
    result = {"type": "succeeded", "message": {**message, "stop_reason": "end_turn", "usage": usage}}
    lines = [{"custom_id": str(one), "result": result} for one in range(2)]
    server.answers["GET /messages/batches/msgbatch_1/results"] = "".join(json.dumps(one) + "\n" for one in lines)
    for _ in range(2):
        assert len(list(batches.results("msgbatch_1"))) == 2
    entry = desk.settled()
    assert (entry.status, entry.cost) == (Status.SETTLED, 1000 * 3_000 + 100 * 15_000)


def test_a_message_batch_in_the_us(server: Server, desk: Desk) -> None:
    """At half the price, and 1.1 times that."""
    usage = {"input_tokens": 1000, "output_tokens": 100, "service_tier": "batch", "inference_geo": "us"}
    message = {"id": "m", "type": "message", "role": "assistant", "model": "claude-opus-4-6", "content": []}
    result = {"type": "succeeded", "message": {**message, "stop_reason": "end_turn", "usage": usage}}
    server.answers["GET /messages/batches/msgbatch_1"] = message_batch(server.url, "ended", 1)
    server.answers["GET /messages/batches/msgbatch_1/results"] = json.dumps({"custom_id": "1", "result": result})
    assert len(list(desk.anthropic.messages.batches.results("msgbatch_1"))) == 1
    assert desk.settled().cost == (1000 * 2_500 + 100 * 12_500) * 11 // 10


def test_results_of_a_message_batch_that_nobody_saw(server: Server, desk: Desk) -> None:
    """They are a call of whoever reads them, once."""
    usage = {"input_tokens": 1000, "output_tokens": 100}
    message = {"id": "m", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "content": []}
    result = {"type": "succeeded", "message": {**message, "stop_reason": "end_turn", "usage": usage}}
    server.answers["GET /messages/batches/msgbatch_1"] = message_batch(server.url, "ended", 1)
    server.answers["GET /messages/batches/msgbatch_1/results"] = json.dumps({"custom_id": "1", "result": result})
    for _ in range(2):
        assert len(list(desk.anthropic.messages.batches.results("msgbatch_1"))) == 1
    entry = desk.settled()
    assert (entry.cost, entry.provider, entry.model) == (2_250_000, "anthropic", "claude-sonnet-4-5")


# Runs and jobs -------------------------------------------------------------------------------------------------------


def run_of(status: str, usage: Any = None) -> dict[str, Any]:
    one = {"id": "run_1", "object": "thread.run", "thread_id": "t1", "assistant_id": "a", "model": "gpt-4o"}
    return {**one, "status": status, "usage": usage}


@pytest.mark.parametrize("path", ["/threads/t1/runs", "/threads/runs"])
def test_a_run_is_settled_by_its_own_usage(server: Server, desk: Desk, path: str) -> None:
    """Handing in what its tools said begins no second one."""
    server.answers[f"POST {path}"] = run_of("queued")
    desk.openai.post(path, body={"assistant_id": "a", "model": "gpt-4o"}, cast_to=object)
    held = desk.held
    assert held > 0
    server.answers["POST /threads/t1/runs/run_1/submit_tool_outputs"] = run_of("queued")
    desk.openai.post("/threads/t1/runs/run_1/submit_tool_outputs", body={"tool_outputs": []}, cast_to=object)
    assert desk.held == held
    usage = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
    server.answers["GET /threads/t1/runs/run_1"] = run_of("completed", usage)
    desk.openai.get("/threads/t1/runs/run_1", cast_to=object)
    assert desk.settled().cost == COST


@pytest.mark.parametrize(("status", "tokens", "cost"), [("succeeded", 1_000_001, 5_000_005_000), ("failed", None, 0)])
def test_a_job_is_settled_by_what_it_trained_on(
    server: Server, desk: Desk, status: str, tokens: int | None, cost: int
) -> None:
    """At the price of a million trained tokens; one that failed costs nothing."""
    job = {"id": "ftjob-1", "object": "fine_tuning.job", "model": "gpt-4.1-mini", "trained_tokens": None}
    server.answers["POST /fine_tuning/jobs"] = {**job, "status": "validating_files"}
    desk.openai.fine_tuning.jobs.create(model="gpt-4.1-mini", training_file="f")
    assert desk.held > 0
    server.answers["GET /fine_tuning/jobs/ftjob-1"] = {**job, "status": status, "trained_tokens": tokens}
    desk.openai.fine_tuning.jobs.retrieve("ftjob-1")
    assert (desk.held, desk.spent) == (0, cost)


# Lists ---------------------------------------------------------------------------------------------------------------


def page(*items: dict[str, Any]) -> dict[str, Any]:
    return {"object": "list", "data": list(items), "has_more": False, "first_id": None, "last_id": None}


def every(pages: Any) -> int:
    """How many there are on all pages."""
    return len(list(pages))


async def listed_async(server: Server) -> int:
    """The same list, as the async client takes it."""
    async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="x", max_retries=0) as client:
        return len([one async for one in client.batches.list()])


def video(status: str, **more: Any) -> dict[str, Any]:
    return {"id": "video_1", "object": "video", "created_at": 1, "progress": 0, "status": status, **more}


SMALL: Any = {"model": "sora-2", "seconds": "8", "size": "720x1280"}


def begin_video(server: Server, desk: Desk, **first: Any) -> None:
    server.answers["POST /videos"] = video("queued", **first)
    desk.openai.videos.create(model="sora-2", prompt="a cat", seconds="8")
    assert (desk.held, desk.spent) == (800_000_000, 0)


TRAINED: Any = {"id": "ftjob-1", "object": "fine_tuning.job", "model": "gpt-4.1-mini", "trained_tokens": 1_000_001}


def begin_job(server: Server, desk: Desk) -> None:
    server.answers["POST /fine_tuning/jobs"] = {**TRAINED, "trained_tokens": None, "status": "validating_files"}
    desk.openai.fine_tuning.jobs.create(model="gpt-4.1-mini", training_file="f")


def begin_run(server: Server, desk: Desk) -> None:
    server.answers["POST /threads/t1/runs"] = run_of("queued")
    desk.openai.post("/threads/t1/runs", body={"assistant_id": "a", "model": "gpt-4o"}, cast_to=object)


DONE: Any = batch("completed", 2, usage=USAGE, model="gpt-4o")
RUN_USAGE: Any = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
LISTS: dict[str, tuple[Callable[[Server, Desk], None], str, Any, Callable[[Server, Desk], int], int]] = {
    "batches": (begin_batch, "batches", DONE, lambda _, desk: every(desk.openai.batches.list()), COST // 2),
    "batches, async": (begin_batch, "batches", DONE, lambda server, _: asyncio.run(listed_async(server)), COST // 2),
    "batches, raw": (
        begin_batch,
        "batches",
        DONE,
        lambda _, desk: every(desk.openai.batches.with_raw_response.list().parse()),
        COST // 2,
    ),
    "jobs": (
        begin_job,
        "fine_tuning/jobs",
        {**TRAINED, "status": "succeeded"},
        lambda _, desk: every(desk.openai.fine_tuning.jobs.list()),
        5_000_005_000,
    ),
    "runs": (
        begin_run,
        "threads/t1/runs",
        run_of("completed", RUN_USAGE),
        lambda _, desk: len(cast("Any", desk.openai.get("/threads/t1/runs", cast_to=object))["data"]),
        COST,
    ),
    "videos": (
        begin_video,
        "videos",
        video("completed", **SMALL),
        lambda _, desk: every(desk.openai.videos.list()),
        800_000_000,
    ),
}


@pytest.mark.parametrize("name", LISTS)
def test_a_list_tells_of_work_as_asking_for_it_does(server: Server, desk: Desk, name: str) -> None:
    """While it goes on it is held, among work of others; once it is over it is booked, once."""
    begin, path, over, ask, cost = LISTS[name]
    begin(server, desk)
    held, other = desk.held, {**over, "id": "another_1"}
    assert held > 0
    server.answers[f"GET /{path}"] = page(other, {**over, "status": "in_progress"})
    assert ask(server, desk) == 2
    assert (desk.held, desk.spent) == (held, 0)
    server.answers[f"GET /{path}"] = page(other, over)
    for _ in range(2):
        assert ask(server, desk) == 2
    assert desk.settled().cost == cost


def test_lists_ask_the_ledger_once_of_what_is_over(server: Server, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page tells of all work that there ever was, and is asked for again and again."""
    asked: list[str] = []
    note = desk.ledger.update_note
    monkeypatch.setattr(
        desk.ledger, "update_note", lambda key, *of, **more: asked.append(key) or note(key, *of, **more)
    )
    server.answers["GET /batches"] = page(*({**DONE, "id": f"batch_{n}"} for n in range(5)))
    assert every(desk.openai.batches.list()) == 5
    first = len(asked)
    assert first >= 5
    assert every(desk.openai.batches.list()) == 5
    assert len(asked) == first


def test_a_list_of_message_batches_gives_back_what_came_to_nothing(server: Server, desk: Desk) -> None:
    """Of what was done the results tell; where nothing was, nothing is billed."""
    server.answers["POST /messages/batches"] = message_batch(server.url, "in_progress", 0)
    desk.anthropic.messages.batches.create(requests=[{"custom_id": "1", "params": MESSAGE}])
    server.answers["GET /messages/batches"] = page(message_batch(server.url, "ended", 1))
    assert every(desk.anthropic.messages.batches.list()) == 1
    assert desk.held > 0
    server.answers["GET /messages/batches"] = page(message_batch(server.url, "ended", 0))
    assert every(desk.anthropic.messages.batches.list()) == 1
    assert (desk.held, desk.spent) == (0, 0)


# Videos --------------------------------------------------------------------------------------------------------------


CLIP: Any = {"model": "sora-2-pro", "seconds": "8", "size": "720x1280"}

CHANGES: dict[str, tuple[str, Callable[[Desk], object], int]] = {
    "remix": ("POST /videos/video_0/remix", lambda desk: desk.openai.videos.remix("video_0", prompt="a dog"), 8),
    "edit": (
        "POST /videos/edits",
        lambda desk: desk.openai.videos.edit(prompt="a dog", video=b"a clip"),
        8,
    ),
    "extension": (
        "POST /videos/extensions",
        lambda desk: desk.openai.videos.extend(prompt="a dog", seconds="4", video=b"a clip"),
        4,
    ),
}
"""The request, the call, and the seconds that are billed: of an extension those added, though it tells of the whole."""


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_clip_is_settled_once_it_is_made(server: Server, desk: Desk, name: str) -> None:
    """Its request names no model: it is held at the dearest until the clip is told of."""
    where, ask, seconds = CHANGES[name]
    server.answers[where] = video("queued")
    ask(desk)
    assert (desk.held, desk.spent) == (4 * 700_000_000, 0)
    server.answers["GET /videos/video_1"] = video("in_progress", **CLIP)
    desk.openai.videos.retrieve("video_1")
    assert desk.spent == 0
    server.answers["GET /videos/video_1"] = video("completed", **CLIP)
    for _ in range(2):
        desk.openai.videos.retrieve("video_1")
    entry = desk.settled()
    assert (entry.cost, entry.status, entry.model) == (seconds * 300_000_000, Status.SETTLED, "sora-2-pro")


@pytest.mark.parametrize("name", CHANGES)
def test_a_clip_is_held_at_what_its_first_answer_tells(server: Server, desk: Desk, name: str) -> None:
    """Model and length are known before it is made; should nobody ask again, that is what it is presumed to cost."""
    where, ask, seconds = CHANGES[name]
    server.answers[where] = video("queued", **CLIP)
    ask(desk)
    assert (desk.held, desk.spent) == (seconds * 300_000_000, 0)
    (hold,) = desk.ledger.holds()
    assert [one.cost for one in desk.ledger.sweep(now=hold.expires_at + 1)] == [seconds * 300_000_000]


@pytest.mark.parametrize("first", [SMALL, {}], ids=["told at once", "told at its end"])
@pytest.mark.parametrize(("status", "cost"), [("completed", 800_000_000), ("failed", 0)])
def test_a_clip_is_booked_by_its_end(server: Server, desk: Desk, first: Any, status: str, cost: int) -> None:
    """Held while it is made; booked once it is, and given back where it failed."""
    begin_video(server, desk, **first)
    server.answers["GET /videos/video_1"] = video("in_progress", **SMALL)
    desk.openai.videos.retrieve("video_1")
    assert desk.spent == 0
    server.answers["GET /videos/video_1"] = video(status, **SMALL)
    for _ in range(2):
        desk.openai.videos.retrieve("video_1")
    assert (desk.held, desk.spent) == (0, cost)
    assert [(one.cost, one.status) for one in desk.ledger.journal()] == [(cost, Status.SETTLED)] * bool(cost)


@pytest.mark.parametrize("status", ["completed", "failed"])
def test_a_clip_that_ends_in_its_first_answer(server: Server, desk: Desk, status: str) -> None:
    """Nobody asks again: it is booked, or given back, at once."""
    server.answers["POST /videos"] = video(status, **SMALL)
    desk.openai.videos.create(model="sora-2", prompt="a cat", seconds="8")
    assert (desk.held, desk.spent) == (0, 800_000_000 if status == "completed" else 0)


VIDEO_ELSEWHERE = """
import sys, agent_fuse, openai
agent_fuse.init(budget=1_000, session_id=sys.argv[3], db_path=sys.argv[2])
client = openai.OpenAI(base_url=sys.argv[1] + "/v1", api_key="x", max_retries=0)
if sys.argv[4] == "begin":
    client.videos.create(model="sora-2", prompt="a cat", seconds="8")
else:
    client.videos.retrieve("video_1")
"""


@pytest.mark.parametrize(("status", "cost"), [("completed", 800_000_000), ("failed", 0)])
def test_another_process_tells_of_a_clip(server: Server, tmp_path: Any, elsewhere: Run, status: str, cost: int) -> None:
    """Begun in a process that is gone, it is booked or given back by one that asks after it."""
    path = str(tmp_path / "ledger.db")
    server.answers["POST /videos"] = video("queued", **SMALL)
    server.answers["GET /videos/video_1"] = video(status, **SMALL)
    for session, what in (("s", "begin"), ("other", "tell")):
        elsewhere(VIDEO_ELSEWHERE, server.url, path, session, what)
    ledger = SqliteLedger(tmp_path / "ledger.db")
    balance = ledger.balances(["session=s"])["session=s"]
    assert (balance.held.usd, balance.settled.usd) == (0, cost)
    assert not ledger.holds()
    ledger.close()


@pytest.mark.parametrize(("end", "cost"), [(video("failed", **CLIP), 0), (video("completed"), 2_800_000_000)])
def test_a_clip_that_failed_or_tells_nothing(server: Server, desk: Desk, end: dict[str, Any], cost: int) -> None:
    """One that failed costs nothing; one of which nothing is told stays at its quote."""
    server.answers["POST /videos/video_0/remix"] = video("queued")
    desk.openai.videos.remix("video_0", prompt="a dog")
    server.answers["GET /videos/video_1"] = end
    desk.openai.videos.retrieve("video_1")
    assert (desk.held, desk.spent) == (0, cost)


# Containers made apart --------------------------------------------------------------------------------------------------

CONTAINER_GB = 30_000_000
RAN: Any = {"id": "ci_1", "type": "code_interpreter_call", "status": "completed", "code": "1", "outputs": []}


def run_in(server: Server, desk: Desk, id: str) -> tuple[int, Entry]:
    """What is held while code runs in a container named by its id, and the line of the answer."""
    tools = [{"type": "code_interpreter", "container": id}]
    holds: list[int] = []
    answer = response("completed", USAGE, output=[{**RAN, "container_id": id}], tools=tools, background=False)
    server.answers["POST /responses"] = lambda: holds.append(desk.held) or answer
    desk.openai.responses.create(model="gpt-4o", input="hi", max_output_tokens=10, tools=cast("Any", tools))
    return holds[0], desk.settled()


@pytest.mark.parametrize("how", ["create", "retrieve", "list", "raw", "streamed", "posted"])
def test_container_is_billed_by_the_memory_of_its_making(server: Server, desk: Desk, how: str) -> None:
    """Its maker, or a look at it, tells its memory: so it is held, and so it is booked."""
    made = {"id": "cntr_1", "object": "container", "created_at": 1, "name": "c", "status": "running"}
    made["memory_limit"] = "16g"
    server.answers["POST /containers"] = server.answers["GET /containers/cntr_1"] = made
    server.answers["GET /containers"] = {"object": "list", "data": [made], "has_more": False}
    if how == "create":
        desk.openai.containers.create(name="c", extra_body={"memory_limit": "16g"})
    elif how == "retrieve":
        desk.openai.containers.retrieve("cntr_1")
    elif how == "raw":
        desk.openai.containers.with_raw_response.create(name="c", extra_body={"memory_limit": "16g"})
    elif how == "streamed":
        with desk.openai.containers.with_streaming_response.create(name="c", extra_body={"memory_limit": "16g"}) as one:
            one.parse()
    elif how == "posted":
        desk.openai.post("/containers", body={"name": "c", "memory_limit": "16g"}, cast_to=object)
    else:
        assert len(list(desk.openai.containers.list())) == 1
    held, entry = run_in(server, desk, "cntr_1")
    assert 16 * CONTAINER_GB < held < 17 * CONTAINER_GB
    assert (entry.cost, entry.fee) == (COST + 16 * CONTAINER_GB, 16 * CONTAINER_GB)


def test_container_whose_making_nobody_saw_is_held_as_the_largest(server: Server, desk: Desk) -> None:
    """Nothing tells its memory: it is held as the largest there is, and booked at the provider's default."""
    held, entry = run_in(server, desk, "cntr_2")
    assert 64 * CONTAINER_GB < held < 65 * CONTAINER_GB
    assert (entry.cost, entry.fee) == (COST + CONTAINER_GB, CONTAINER_GB)


def test_containers_kept_are_bounded() -> None:
    """The oldest is forgotten."""
    for number in range(containers.KEPT + 1):
        containers.note(f"cntr_{number}", 4)
    assert [containers.memory_of(one) for one in ("cntr_0", "cntr_1", "cntr_x")] == [None, 4, None]
