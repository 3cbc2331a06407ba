"""The path of one call through AgentFuse: how many functions it runs, in how many files, and how often it moves on."""

import json

MOST = {"functions": 249, "files": 53, "moves": 317}
"""What one small chat call may take. It is lowered when the path gets shorter, and never raised to let it grow."""

SCRIPT = """
import gc, json, os, sys

import openai

import agent_fuse
from agent_fuse.testing import LoopbackProvider
from agent_fuse.tokens import TokenCounter

HOME = os.path.dirname(agent_fuse.__file__) + os.sep
NOT_COUNTED = (os.path.join(HOME, "testing") + os.sep, os.path.join(HOME, "locks.py"))  # locks are C up to Python 3.13


def walked(work):
    functions, visited, stack = 0, [], []

    def look(frame, event, arg):
        nonlocal functions
        file = frame.f_code.co_filename
        if not file.startswith(HOME) or file.startswith(NOT_COUNTED):
            return
        if event == "call":
            functions += 1
            stack.append(file)
        elif event == "return" and stack:
            stack.pop()
        if stack and visited[-1:] != stack[-1:]:
            visited.append(stack[-1])

    sys.setprofile(look)
    try:
        work()
    finally:
        sys.setprofile(None)
    return {"functions": functions, "files": len(set(visited)), "moves": len(visited) - 1}


with LoopbackProvider() as provider:
    agent_fuse.init(budget=5, db_path=sys.argv[1])
    TokenCounter().preload()  # else it is loaded beside the first calls, which are quoted by bytes until then
    client = openai.OpenAI(base_url=provider.openai_base_url, api_key="x")

    def call():
        client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}], max_tokens=50)

    for _ in range(5):
        call()
    gc.disable()
    walks = [walked(call) for _ in range(3)]
    print(json.dumps({name: min(walk[name] for walk in walks) for name in walks[0]}))
"""


def test_one_call_walks_no_further_than_it_did(run_python, tmp_path) -> None:
    """Counted at a call like the ones before it, with nothing left to load: the counts cannot creep up unseen."""
    walk = json.loads(run_python(SCRIPT, str(tmp_path / "ledger.db")).stdout.splitlines()[-1])
    assert walk["functions"] > 100, "the call was not guarded"
    assert {name: count for name, count in walk.items() if count > MOST[name]} == {}, walk
