"""A call's values make no circles: what it kept, a long conversation too, is free at once, without a garbage collection."""

import json

SCRIPT = """
import gc, json, sys

import openai

import agent_fuse
from agent_fuse.testing import LoopbackProvider

SAID = [{"role": "user", "content": "hi"}]


@agent_fuse.loop_guard()
def search(text):
    return text


def by_hand():
    agent_fuse.pre_flight("gpt-4o", estimated_input_tokens=10, estimated_output_tokens=5)
    agent_fuse.post_flight("gpt-4o", 10, 5)


def in_a_block():
    with agent_fuse.call("gpt-4o", estimated_input_tokens=10, estimated_output_tokens=5) as call:
        call.usage(10, 5)


def by_an_sdk():
    client.chat.completions.create(model="gpt-4o", messages=SAID, max_tokens=5)


def streamed():
    list(client.chat.completions.create(model="gpt-4o", messages=SAID, max_tokens=5, stream=True))


def refused():
    try:
        agent_fuse.pre_flight("gpt-4o", estimated_input_tokens=10**9, estimated_output_tokens=5)
    except agent_fuse.SentinelBudgetExceeded:
        return
    raise AssertionError("not refused")


def a_tool():
    search(str(len(done)))
    done.append(1)


def in_a_session():
    with agent_fuse.session(f"run {len(done)}", budget=1):
        by_an_sdk()
    done.append(1)


def of_ours(one):
    module = getattr(one, "__module__", None)
    return isinstance(module, str) and module.startswith("agent_fuse.") and ".testing" not in module


def left_by(work):
    for _ in range(5):
        work()
    gc.collect()
    gc.set_debug(gc.DEBUG_SAVEALL)
    for _ in range(10):
        work()
    gc.collect()
    left = [one for one in gc.garbage if of_ours(one)]
    gc.set_debug(0)
    gc.garbage.clear()
    return sorted({getattr(one, "__qualname__", type(one).__qualname__) for one in left})


done = []
with LoopbackProvider() as provider:
    agent_fuse.init(budget=5, db_path=sys.argv[1])
    client = openai.OpenAI(base_url=provider.openai_base_url, api_key="x")
    gc.disable()
    works = (by_hand, in_a_block, by_an_sdk, streamed, refused, a_tool, in_a_session)
    print(json.dumps({work.__name__: left_by(work) for work in works}))
"""


def test_calls_leave_nothing_to_the_garbage_collector(elsewhere, tmp_path) -> None:
    """Whatever is to be closed again after an interrupt holds no function that holds itself."""
    left = json.loads(elsewhere(SCRIPT, str(tmp_path / "ledger.db")).splitlines()[-1])
    assert len(left) == 7
    assert {work: names for work, names in left.items() if names} == {}
