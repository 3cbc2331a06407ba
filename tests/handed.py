"""What a worker process does with work that was handed to it with headers; importable by spawned processes."""

import openai

import agent_fuse
from agent_fuse.otel import active

_ledger = ""


def start(ledger: str) -> None:
    """The initializer of a worker: it guards itself, on the same ledger."""
    agent_fuse.init(budget=100, db_path=ledger, session_id="worker")


def work(headers: dict[str, str] | None) -> str:
    """One call on the session of the headers; what became of it."""
    try:
        with agent_fuse.session_from(headers):
            agent_fuse.pre_flight("gpt-4o", 1000, 500)
            agent_fuse.post_flight("gpt-4o", 1000, 500)
            return active.guards()[0].caller(None, None).session.id
    except agent_fuse.SentinelBudgetExceeded as trip:
        return trip.limit


def ask(url: str) -> str:
    """One request of a process that has set nothing up: on which session it went, or what refused it."""
    with openai.OpenAI(base_url=url, api_key="test", max_retries=0) as client:
        try:
            client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])
        except agent_fuse.SentinelBudgetExceeded as trip:
            return trip.limit
    return active.guards()[0].caller(None, None).session.id


def trip(_: int) -> None:
    """A task that is refused."""
    raise agent_fuse.SentinelBudgetExceeded("refused")
