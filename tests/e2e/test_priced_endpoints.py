"""Every priced endpoint of the two SDKs: refused with nothing sent when the budget is used up, booked when it is not."""

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import anthropic
import httpx
import openai
import pytest

from agent_fuse import SentinelBudgetExceeded, init
from agent_fuse.calls import Entry, Status
from alone import leave_nobody

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # endpoints near their end cost money to the end

WAV = b"RIFF\x00\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00" + (8_000).to_bytes(4, "little")
WAV += (16_000).to_bytes(4, "little") + b"\x02\x00\x10\x00data" + bytes(320_000 - 40)
"""Twenty seconds at 16,000 bytes a second."""


class Server(ThreadingHTTPServer):
    """Answers everything with `answer`, and counts."""

    received: int = 0
    answer: bytes = b"{}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        self.server.received += 1
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(self.server.answer)))
        self.end_headers()
        self.wfile.write(self.server.answer)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[Server]:
    leave_nobody()
    with Server(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


Call = Callable[[openai.OpenAI, anthropic.Anthropic], object]
IMAGE = ("a.png", b"\x89PNG" * 100, "image/png")
MESSAGE: Any = {"model": "claude-opus-4-6", "max_tokens": 1000, "messages": [{"role": "user", "content": "hi"}]}

PRICED: dict[str, Call] = {
    "image": lambda o, _: o.images.generate(model="gpt-image-2", prompt="a cat"),
    "image edit": lambda o, _: o.images.edit(model="gpt-image-2", prompt="a cat", image=IMAGE),
    "image variation": lambda o, _: o.images.create_variation(image=IMAGE),
    "speech": lambda o, _: o.audio.speech.create(model="tts-1", voice="alloy", input="hi" * 100),
    "transcription": lambda o, _: o.audio.transcriptions.create(model="whisper-1", file=("a.wav", WAV)),
    "translation": lambda o, _: o.audio.translations.create(model="whisper-1", file=("a.wav", WAV)),
    "video": lambda o, _: o.videos.create(model="sora-2", prompt="a cat", seconds="8"),
    "batch": lambda o, _: o.batches.create(input_file_id="f", endpoint="/v1/chat/completions", completion_window="24h"),
    "fine-tuning": lambda o, _: o.fine_tuning.jobs.create(model="gpt-4.1-mini", training_file="f"),
    "run": lambda o, _: o.post("/threads/t1/runs", body={"assistant_id": "a"}, cast_to=object),
    "compaction": lambda o, _: o.responses.compact(model="gpt-4o", input="hi"),
    "background": lambda o, _: o.responses.create(model="gpt-4o", input="hi", background=True),
    "message batch": lambda _, a: a.messages.batches.create(requests=[{"custom_id": "1", "params": MESSAGE}]),
    "empty message batch": lambda _, a: a.messages.batches.create(requests=[]),
    "beta messages": lambda _, a: a.beta.messages.create(**MESSAGE),
    "unknown": lambda o, _: o.post("/rerank", body={"model": "x"}, cast_to=object),
}


def run(server: Server, tmp_path: Any, call: Call, budget: float, **options: Any) -> Any:
    fuse = init(budget=budget, db_path=str(tmp_path / "ledger.db"), **options).fuse
    base = f"http://127.0.0.1:{server.server_port}"
    with (
        openai.OpenAI(base_url=f"{base}/v1", api_key="x", max_retries=0) as o,
        anthropic.Anthropic(base_url=base, api_key="x", max_retries=0) as a,
    ):
        call(o, a)
    return fuse


def booked(fuse: Any) -> Entry:
    (entry,) = fuse.ledger.journal()
    assert not fuse.ledger.holds()
    return entry


@pytest.mark.parametrize("name", PRICED)
def test_refused_with_nothing_sent(server: Server, tmp_path: Any, name: str) -> None:
    """With the budget used up, no priced endpoint lets a request out."""
    with pytest.raises(SentinelBudgetExceeded):
        run(server, tmp_path, PRICED[name], 0)
    assert server.received == 0


FREE: dict[str, Call] = {
    "moderation": lambda o, _: o.moderations.create(input="hi"),
    "counting": lambda _, a: a.messages.count_tokens(
        model="claude-opus-4-6", messages=[{"role": "user", "content": "hi"}]
    ),
    "a thread's message": lambda o, _: o.post("/threads/t1/messages", body={"content": "hi"}, cast_to=object),
    "files": lambda o, _: o.files.create(file=("a.jsonl", b"{}"), purpose="batch"),
}


@pytest.mark.parametrize("name", FREE)
def test_what_is_free_stays_free(server: Server, tmp_path: Any, name: str) -> None:
    """With the budget used up, what costs nothing passes, and nothing is booked."""
    fuse = run(server, tmp_path, FREE[name], 0)
    assert server.received == 1
    assert not list(fuse.ledger.journal())


@pytest.mark.parametrize(
    ("name", "answer", "cost"),
    [
        ("speech", b"\xff\xf3audio", 200 * 15_000),
        ("transcription", b'{"text":"hi","usage":{"type":"duration","seconds":21}}', 21 * 100_000),
        (
            "image",
            json.dumps(
                {
                    "created": 1,
                    "data": [{"b64_json": "aGk="}],
                    "usage": {
                        "input_tokens": 60,
                        "input_tokens_details": {"text_tokens": 10, "image_tokens": 50},
                        "output_tokens": 4160,
                        "total_tokens": 4220,
                    },
                }
            ).encode(),
            10 * 5_000 + 50 * 8_000 + 4160 * 30_000,
        ),
    ],
)
def test_booked_as_the_provider_bills(server: Server, tmp_path: Any, name: str, answer: bytes, cost: int) -> None:
    """Characters, seconds, images: booked exactly, by what the answer tells or what the request alone fixes."""
    server.answer = answer
    entry = booked(run(server, tmp_path, PRICED[name], 1_000))
    assert (entry.cost, entry.status) == (cost, Status.SETTLED)


def test_a_remix_of_a_clip_is_an_estimate(server: Server, tmp_path: Any) -> None:
    """Neither its model nor its length is in the request: it is held at the dearest until its clip is told of."""
    server.answer = b'{"id":"video_2","object":"video","status":"queued"}'
    fuse = run(server, tmp_path, lambda o, _: o.videos.remix("video_1", prompt="a dog"), 1_000)
    (hold,) = fuse.ledger.holds()
    assert hold.amounts.usd == 4 * 700_000_000
    assert not list(fuse.ledger.journal())


@pytest.mark.parametrize("name", ["batch", "fine-tuning", "run", "message batch", "background", "video"])
def test_what_tells_its_price_later_is_held_at_an_estimate(server: Server, tmp_path: Any, name: str) -> None:
    """Work that goes on at the provider is held at its quote until it is told of (`test_told_later`)."""
    server.answer = b'{"id":"job_1","object":"job","status":"queued"}'
    fuse = run(server, tmp_path, PRICED[name], 1_000)
    (hold,) = fuse.ledger.holds()
    assert hold.amounts.usd > 0
    assert not list(fuse.ledger.journal())


@pytest.mark.parametrize(
    ("body", "written"),
    [
        ({"id": "c", "type": "completion", "model": "claude-2.1", "completion": "abcd" * 25}, 25),
        ({"id": "c", "object": "text_completion", "choices": [{"text": "abcd" * 25, "finish_reason": "stop"}]}, 25),
        ({"id": "c", "choices": [{"message": {"content": "abcd" * 20, "reasoning": "abcd" * 5}}]}, 25),
    ],
)
def test_a_whole_answer_without_usage_is_counted(server: Server, tmp_path: Any, body: Any, written: int) -> None:
    """Anthropic's old completions tell no usage, nor do some servers: what they wrote is counted, a token for 4 bytes."""
    server.answer = json.dumps(body).encode()
    asked: dict[str, Any] = {"model": "claude-2.1", "prompt": "hi", "messages": MESSAGE["messages"]}

    def complete(o: openai.OpenAI, a: anthropic.Anthropic) -> object:
        if "completion" in body:
            return a.post("/v1/complete", body={**asked, "max_tokens_to_sample": 500}, cast_to=object)
        if "object" in body:
            return o.completions.create(model="gpt-3.5-turbo-instruct", prompt="hi")
        return o.chat.completions.create(model="gpt-4o", messages=asked["messages"])

    entry = booked(run(server, tmp_path, complete, 1_000))
    assert (entry.status, entry.output_tokens) == (Status.ESTIMATED, written)
    assert entry.cost > 0


def test_what_is_not_known_is_booked_at_an_estimate(server: Server, tmp_path: Any) -> None:
    """Nothing will tell of it later."""
    server.answer = b'{"id":"job_1","object":"job","status":"queued"}'
    entry = booked(run(server, tmp_path, PRICED["unknown"], 1_000))
    assert entry.status is Status.ESTIMATED
    assert entry.cost > 0


def test_a_message_batch_is_quoted_by_its_messages(server: Server, tmp_path: Any) -> None:
    """Twice the messages, twice the quote, at half the price of a message by itself."""
    server.answer = b'{"id":"msgbatch_1","type":"message_batch"}'

    def two(_: Any, a: anthropic.Anthropic) -> object:
        return a.messages.batches.create(requests=[{"custom_id": str(one), "params": MESSAGE} for one in range(2)])

    single = booked(run(server, tmp_path / "a", lambda _, a: a.messages.create(**MESSAGE), 1_000)).cost
    (hold,) = run(server, tmp_path / "b", two, 1_000).ledger.holds()
    assert hold.amounts.usd == single


def test_unknown_endpoints_can_be_blocked_or_let_go(server: Server, tmp_path: Any) -> None:
    """unknown_endpoint='block' refuses whatever the table lacks, 'free' lets it pass unbooked."""
    with pytest.raises(SentinelBudgetExceeded, match="unknown_endpoint='block'"):
        run(server, tmp_path, PRICED["unknown"], 1_000, unknown_endpoint="block")
    assert server.received == 0
    fuse = run(server, tmp_path, PRICED["unknown"], 0, unknown_endpoint="free")
    assert server.received == 1
    assert not [entry for entry in fuse.ledger.journal() if entry.status is not Status.REFUSED]


def test_searches_and_containers_are_billed_beside_the_tokens(server: Server, tmp_path: Any) -> None:
    """Tools run at the provider: each search, and each container once however often it is used."""
    output: list[dict[str, Any]] = [
        {"type": "web_search_call", "id": "1", "status": "completed", "action": {"type": "search", "query": "x"}},
        {"type": "web_search_call", "id": "2", "status": "completed", "action": {"type": "open_page", "url": "x"}},
        {"type": "file_search_call", "id": "3", "status": "completed", "queries": ["x"]},
        {"type": "code_interpreter_call", "id": "4", "status": "completed", "container_id": "c1", "code": ""},
        {"type": "code_interpreter_call", "id": "5", "status": "completed", "container_id": "c1", "code": ""},
    ]
    usage = {"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100, "input_tokens_details": {}}
    answer = {"id": "resp_1", "object": "response", "status": "completed", "model": "gpt-4.1", "output": output}
    server.answer = json.dumps({**answer, "usage": usage}).encode()
    entry = booked(run(server, tmp_path, lambda o, _: o.responses.create(model="gpt-4.1", input="hi"), 1_000))
    assert entry.cost == 1000 * 2_000 + 100 * 8_000 + 10_000_000 + 2_500_000 + 30_000_000


def test_a_stream_read_whole_is_booked_by_its_usage(server: Server, tmp_path: Any) -> None:
    """Asked for by hand, not as a stream: its events are all in one answer."""
    told = {"id": "c", "object": "chat.completion.chunk", "model": "gpt-4o", "choices": []}
    usage = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
    server.answer = f"data: {json.dumps({**told, 'usage': usage})}\n\ndata: [DONE]\n\n".encode()
    body = {"model": "gpt-4o", "messages": [], "stream": True, "stream_options": {"include_usage": True}}
    fuse = run(
        server, tmp_path, lambda o, _: o.post("/chat/completions", body=body, cast_to=httpx.Response), budget=100
    )
    assert (booked(fuse).status, booked(fuse).cost) == (Status.SETTLED, 1000 * 2_500 + 100 * 10_000)


def test_images_drawn_for_a_response_are_booked(server: Server, tmp_path: Any) -> None:
    """At the rates of the model that drew them: $5 a million for what it was told, $40 for what it drew."""
    drawn = {"input_tokens": 100, "output_tokens": 1056, "total_tokens": 1156}
    answer = {"id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "gpt-4o"}
    answer |= {"output": [{"type": "image_generation_call", "id": "i", "status": "completed", "result": "eA=="}]}
    answer |= {"usage": {"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100}}
    answer |= {"tools": [{"type": "image_generation", "model": "gpt-image-1"}], "tool_usage": {"image_gen": drawn}}
    server.answer = json.dumps(answer).encode()
    tools: Any = [{"type": "image_generation"}]
    fuse = run(server, tmp_path, lambda o, _: o.responses.create(model="gpt-4o", input="hi", tools=tools), budget=100)
    assert booked(fuse).cost == 1000 * 2_500 + 100 * 10_000 + 100 * 5_000 + 1056 * 40_000
