"""Ray, the real one (`pip install ray`): tasks and actors of a job whose driver called `init()` and nothing else."""

import subprocess
import sys

import pytest

from agent_fuse.ledgers.reading import Selection, open_reader
from agent_fuse.testing import LoopbackProvider

pytestmark = pytest.mark.soak

DRIVER = """
import sys
import agent_fuse, openai, ray

agent_fuse.init(budget=float(sys.argv[1]), db_path="ledger.db", session_id="run")
ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
asked = dict(model="gpt-4o", messages=[{"role": "user", "content": "hi"}], max_tokens=50)

@ray.remote
def task(url):
    return openai.OpenAI(base_url=url, api_key="x", max_retries=0).chat.completions.create(**asked).id

@ray.remote
class Actor:
    def plain(self, url):
        return openai.OpenAI(base_url=url, api_key="x", max_retries=0).chat.completions.create(**asked).id

    async def awaited(self, url):
        client = openai.AsyncOpenAI(base_url=url, api_key="x", max_retries=0)
        return (await client.chat.completions.create(**asked)).id

plain, awaited = Actor.remote(), Actor.remote()
for work in (task.remote(sys.argv[2]), plain.plain.remote(sys.argv[2]), awaited.awaited.remote(sys.argv[2])):
    try:
        print("answered" if ray.get(work) else "")
    except agent_fuse.SentinelBudgetExceeded as trip:
        print("refused")
"""


@pytest.mark.parametrize(("budget", "told", "sent"), [("0.00001", "refused", 0), ("5", "answered", 3)])
def test_workers_spend_their_drivers_budget(tmp_path, budget, told, sent) -> None:
    """Refused with nothing sent, or sent and booked on the driver's session, in a task and both kinds of actors."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install ray")
    with LoopbackProvider() as provider:
        done = subprocess.run(
            [sys.executable, "-c", DRIVER, budget, provider.openai_base_url],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            check=False,
        )
        assert done.stdout.split() == [told] * 3, done.stderr
        assert len(provider.requests) == sent
    with open_reader(str(tmp_path / "ledger.db")) as books:
        assert [one.session for one in books.entries(Selection()) if one.status == "settled"] == ["run"] * sent
