"""What AgentFuse adds to the start of a process: `init()`, the first gate in its thread, and memory, beside openai's own.

Each figure is of fresh processes, bare and guarded in turn, medians. The transport is fake and answers in the process;
the first chat of both pays for what the SDK itself imports then.
"""

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROUNDS = 7

SCRIPT = """
import json, sys, time

def mib():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS"))

import openai, httpx2
empty, modules, started = mib(), set(sys.modules), time.perf_counter()
guard = None
if sys.argv[1] != "bare":
    import agent_fuse
    guard = agent_fuse.init(budget=100, db_path=sys.argv[2])
init, init_mib, init_modules = time.perf_counter() - started, mib() - empty, len(set(sys.modules) - modules)

sent = []
ANSWER = {
    "id": "1", "object": "chat.completion", "created": 1, "model": sys.argv[3],
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
}

class Transport(httpx2.BaseTransport):
    def handle_request(self, request):
        sent.append(time.perf_counter())
        return httpx2.Response(200, json=ANSWER, request=request)

client = openai.OpenAI(api_key="x", http_client=httpx2.Client(transport=Transport()))
client.chat.completions  # the SDK imports them at the first use

def chat():
    started = time.perf_counter()
    client.chat.completions.create(
        model=sys.argv[3], max_tokens=50, messages=[{"role": "user", "content": "Say hello to the world, please."}]
    )
    return sent[-1] - started, time.perf_counter() - started

gates = []

def timed(kind, seconds):
    gates.append(seconds)

if guard is not None:
    guard.fuse.accounting.on_gate.add(timed)
to_send, whole = chat()
first = sum(gates)
import threading
for thread in threading.enumerate():
    if thread is not threading.current_thread():
        thread.join(10)
for _ in range(20):
    chat()
print(json.dumps({
    "init, ms": init * 1e3, "init, modules": init_modules, "init, MiB": init_mib,
    "first chat until it is sent, ms": to_send * 1e3, "first chat, ms": whole * 1e3, "first gates, ms": first * 1e3,
    "after 21 chats, MiB": mib() - empty,
}))
"""


def run(kind: str, folder: str, number: int, model: str = "gpt-4o") -> dict[str, float]:
    """The figures of one fresh process."""
    path = str(Path(folder) / f"{number}.db")
    done = subprocess.run([sys.executable, "-c", SCRIPT, kind, path, model], capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    """Measure and print."""
    kinds = {"bare": ("bare", "gpt-4o"), "guarded": ("init", "gpt-4o"), "no vocabulary": ("init", "claude-sonnet-4-5")}
    with tempfile.TemporaryDirectory() as folder:
        rounds = [
            {name: run(kind, folder, number, model) for name, (kind, model) in kinds.items()}
            for number in range(ROUNDS)
        ]
    print(f"{'medians of ' + str(ROUNDS) + ' processes':<34}" + "".join(f"{name:>16}" for name in kinds))
    for figure in rounds[0]["bare"]:
        print(f"{figure:<34}" + "".join(f"{statistics.median(one[k][figure] for one in rounds):>16.1f}" for k in kinds))


if __name__ == "__main__":
    main()
