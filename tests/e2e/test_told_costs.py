"""The provider's own figure: booked where its sender is known to tell US dollars, believed nowhere else."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx
import openai
import pytest
from typer.testing import CliRunner

from agent_fuse import init
from agent_fuse.calls import Entry
from agent_fuse.cli.app import app
from agent_fuse.told_costs import in_header, in_usage
from agent_fuse.views.checkup import doctor

COMPUTED = 1000 * 150 + 100 * 600
OPENROUTER = "https://openrouter.ai/api/v1"
GATEWAY = "https://gateway.example/v1"
USAGE = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
HEADER = "x-litellm-response-cost"


def whole(usage: dict[str, Any]) -> bytes:
    message = {"role": "assistant", "content": "hi"}
    choices = [{"index": 0, "finish_reason": "stop", "message": message}]
    told = {"id": "c1", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini", "choices": choices}
    return json.dumps({**told, "usage": usage}).encode()


def events(usage: dict[str, Any]) -> Iterator[bytes]:
    told = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini"}
    choices = [{"index": 0, "finish_reason": "stop", "delta": {"content": "hi"}}]
    yield b"data: " + json.dumps({**told, "choices": choices}).encode() + b"\n\n"
    yield b"data: " + json.dumps({**told, "choices": [], "usage": usage}).encode() + b"\n\ndata: [DONE]\n\n"


def book(
    tmp_path: Any,
    base_url: str = GATEWAY,
    *,
    usage: dict[str, Any] | None = None,
    header: str | None = None,
    stream: bool = False,
    **options: Any,
) -> Entry:
    """The journal's line of one call that was answered so."""

    def answer(_: httpx.Request) -> httpx.Response:
        headers = {"content-type": "text/event-stream" if stream else "application/json"}
        told = {**USAGE, **(usage or {})}
        body: Any = events(told) if stream else whole(told)
        return httpx.Response(200, headers=headers | ({} if header is None else {HEADER: header}), content=body)

    fuse = init(budget=100, db_path=str(tmp_path / "ledger.db"), **options).fuse
    transport = httpx.Client(transport=httpx.MockTransport(answer))
    with openai.OpenAI(base_url=base_url, api_key="x", max_retries=0, http_client=transport) as client:
        asked: Any = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}], "stream": stream}
        if stream:
            asked["stream_options"] = {"include_usage": True}
        answered = client.chat.completions.create(**asked)
        if stream:
            list(answered)
    (entry,) = fuse.ledger.journal()
    return entry


@pytest.mark.parametrize("stream", [False, True])
def test_openrouters_cost_is_booked_beside_ours(tmp_path: Any, stream: bool) -> None:
    """Credits are US dollars."""
    entry = book(tmp_path, OPENROUTER, usage={"cost": 0.00042}, stream=stream)
    assert (entry.cost, entry.source, entry.computed) == (420_000, "provider", COMPUTED)
    assert (entry.input_tokens, entry.status) == (1000, "settled")


def test_with_a_key_of_ones_own_the_upstream_cost_comes_to_it(tmp_path: Any) -> None:
    """OpenRouter's cost is its fee alone then."""
    usage = {"cost": 0.00001, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.0002}}
    assert book(tmp_path, OPENROUTER, usage=usage).cost == 210_000


def test_the_upstream_cost_of_any_other_call_is_in_it_already(tmp_path: Any) -> None:
    """It is told there too, and is no second charge."""
    usage = {"cost": 0.0002, "is_byok": False, "cost_details": {"upstream_inference_cost": 0.0002}}
    assert book(tmp_path, OPENROUTER, usage=usage).cost == 200_000


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("host", "told", "nanos"),
    [
        ("https://api.x.ai/v1", {"cost_in_usd_ticks": 37_756_001}, 3_775_601),
        ("https://api.perplexity.ai", {"cost": {"total_cost": 0.00515, "request_cost": 0.005}}, 5_150_000),
    ],
)
def test_other_providers_that_tell_dollars(
    tmp_path: Any, host: str, told: dict[str, Any], nanos: int, stream: bool
) -> None:
    """Ticks of xAI, ten billion to the dollar; Perplexity's below a name."""
    assert book(tmp_path, host, usage=told, stream=stream).cost == nanos


@pytest.mark.parametrize("told", [{"cost_in_usd_ticks": 5}, {"cost": {"total_cost": 5}}])
def test_their_figures_are_not_believed_of_others(tmp_path: Any, told: dict[str, Any]) -> None:
    """A gateway of another name."""
    assert book(tmp_path, usage=told).cost == COMPUTED


@pytest.mark.parametrize("base_url", [GATEWAY, "https://openrouter.ai.example/v1", "https://notopenrouter.ai/v1"])
def test_the_points_of_another_gateway_are_no_dollars(tmp_path: Any, base_url: str) -> None:
    """A figure of the same name is not believed."""
    entry = book(tmp_path, base_url, usage={"cost": 350})
    assert (entry.cost, entry.source, entry.computed) == (COMPUTED, "", None)


def test_a_host_that_the_user_trusts_is_believed(tmp_path: Any) -> None:
    """By its name, or that of a domain around it."""
    assert book(tmp_path, usage={"cost": 0.5}, trusted_costs=["gateway.example"]).cost == 500_000_000


@pytest.mark.parametrize("stream", [False, True])
def test_litellms_header_is_booked_wherever_it_runs(tmp_path: Any, stream: bool) -> None:
    """It is known by its name; a figure in the body beside it is not."""
    entry = book(tmp_path, usage={"cost": 99}, header="0.00031", stream=stream)
    assert (entry.cost, entry.source, entry.computed) == (310_000, "provider", COMPUTED)


@pytest.mark.parametrize("header", ["0.0", "None", "", "-1", "nan", "inf", "1e300"])
def test_a_header_that_says_nothing_is_not_free(tmp_path: Any, header: str) -> None:
    """LiteLLM tells 0 where it has no price."""
    assert book(tmp_path, header=header).cost == COMPUTED


def test_whoever_trusts_nobody_is_billed_by_our_prices(tmp_path: Any) -> None:
    """`none` takes the header's word away as well."""
    assert book(tmp_path, OPENROUTER, usage={"cost": 5}, header="7", trusted_costs="none").cost == COMPUTED


@pytest.mark.parametrize("told", [None, True, -1, float("nan"), float("inf"), "much", [1], {"usd": 1}, 10**30])
def test_what_is_no_amount_is_none(told: Any) -> None:
    """Whatever stands there, nothing is raised."""
    assert in_usage({"cost": told}.get) is None
    assert in_usage({"cost": {"total_cost": told}}.get) is None
    assert in_usage({"cost_in_usd_ticks": told}.get) is None
    assert in_header("much") is None


@pytest.mark.parametrize(("cost", "state"), [(0.001, "blind"), (0.0002, "ok")])
def test_the_doctor_and_the_journal_tell_the_two_apart(tmp_path: Any, cost: float, state: str) -> None:
    """Quotes that are too low hold no limit, so that is something to look at."""
    book(tmp_path, OPENROUTER, usage={"cost": cost})
    path = str(tmp_path / "ledger.db")
    (fact,) = [one for one in doctor(db_path=path) if "providers told" in one.what]
    assert (fact.state, f"${cost}" in fact.what) == (state, True)
    shown = CliRunner().invoke(app, ["calls", "--db", path], env={"COLUMNS": "200"}).output
    assert "by provider (ours $0.0002)" in shown


class _Gateway(BaseHTTPRequestHandler):
    """Answers every chat with a figure of its own."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        told = whole({**USAGE, "cost": 0.5})
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""


@pytest.mark.parametrize(("trusted", "cost"), [("127.0.0.1", 500_000_000), ("openrouter.ai", COMPUTED)])
def test_a_raw_clients_request_is_believed_by_the_same_rule(tmp_path: Any, trusted: str, cost: int) -> None:
    """What only the wire gate sees knows its host too."""
    fuse = init(budget=100, db_path=str(tmp_path / "ledger.db"), trusted_costs=[trusted]).fuse
    server = HTTPServer(("127.0.0.1", 0), _Gateway)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        asked = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}
        httpx.post(f"http://127.0.0.1:{server.server_port}/v1/chat/completions", json=asked)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    (entry,) = fuse.ledger.journal()
    assert entry.cost == cost
