"""Ray's workers, which no process of ours starts: guarded as the process that connected, or told that they are not.

`FakeRay` stands for the module; the worker is a real process. `tests/soak/test_ray.py` is the same on the real one.
"""

import inspect
import logging
import pickle
import types
from pathlib import Path
from typing import Any

import pytest

from agent_fuse import Limit
from agent_fuse.otel import blind, ray_workers, spawning
from agent_fuse.testing import LoopbackProvider

TESTS = Path(__file__).parent

WORKER = """
import os, pickle, sys
sys.path.insert(0, sys.argv[1])
import handed
pickle.loads(bytes.fromhex(sys.argv[2])).guard()
print(handed.ask(sys.argv[3]))
print(handed.ask(sys.argv[3]))
"""

ran: list[str] = []


def their_hook() -> None:
    """What a user has his workers do first."""
    ran.append("theirs")


class FakeRay(types.SimpleNamespace):
    """The module `ray`: how it was connected with, and nothing behind it."""

    SCRIPT_MODE = 0

    def __init__(self, *, mode: int | None = None) -> None:
        context = types.SimpleNamespace(worker=types.SimpleNamespace(mode=mode))
        super().__init__(is_initialized=lambda: mode is not None, get_runtime_context=lambda: context, given=None)

    def init(self, *_: object, **kwargs: object) -> None:
        """Ray's own."""
        self.given = kwargs

    @property
    def hook(self) -> Any:
        """What workers are to do first."""
        return self.given["runtime_env"]["worker_process_setup_hook"]


@pytest.fixture(scope="module")
def provider() -> Any:
    """What workers ask."""
    with LoopbackProvider() as found:
        yield found


@pytest.fixture
def ray() -> Any:
    """Ray, imported where AgentFuse guards."""
    found = FakeRay()
    ray_workers.guard_workers(found)
    return found


def job_of(hook: Any) -> bytes:
    """What the hook takes along to a worker."""
    handed: bytes = inspect.getclosurevars(hook).nonlocals["handed"]
    return handed


def test_a_worker_is_guarded_as_its_driver(ray, box, provider, run_python, tmp_path, monkeypatch) -> None:
    """Same limits, same ledger wherever it works, the driver's session: the second call is over the limit."""
    monkeypatch.chdir(tmp_path)
    rig = box(limits=(Limit(calls=1),), db_path="ledger.db", session_id="here")
    before = provider.count
    ray.init(num_cpus=2, runtime_env={"env_vars": {"A": "b"}})
    assert ray.given["num_cpus"] == 2
    assert ray.given["runtime_env"]["env_vars"] == {"A": "b"}
    monkeypatch.chdir("/")
    told = run_python(WORKER, str(TESTS), job_of(ray.hook).hex(), provider.openai_base_url).stdout
    assert told.splitlines() == ["here", "1 call per session 'here'"]
    assert provider.count - before == 1
    assert rig.spent("here") > 0


def test_it_is_waited_for(run_python, tmp_path) -> None:
    """Whoever imports Ray after AgentFuse began has its workers guarded; nothing of Ray is imported before."""
    (tmp_path / "ray.py").write_text(
        "def is_initialized(): return False\ndef init(**given): print([*given['runtime_env']])\n"
    )
    script = """
import sys
sys.path.insert(0, sys.argv[1])
import agent_fuse
agent_fuse.init(budget=1, db_path=sys.argv[1] + "/ledger.db")
assert "ray" not in sys.modules
import ray
ray.init()
"""
    assert run_python(script, str(tmp_path)).stdout.split() == ["['worker_process_setup_hook']"]


@pytest.mark.parametrize("theirs", [their_hook, f"{__name__}.their_hook"])
def test_the_users_own_hook_runs_after_it(ray, box, tmp_path, theirs) -> None:
    """Ray has room for one: ours does what it would have done."""
    box(db_path=str(tmp_path / "ledger.db"))
    ray.init(runtime_env={"worker_process_setup_hook": theirs})
    ran.clear()
    ray.hook()
    assert ran == ["theirs"]


def test_a_job_configs_environment_is_kept(ray, box, tmp_path) -> None:
    """Ray takes the environment from either place."""
    box(db_path=str(tmp_path / "ledger.db"))
    ray.init(job_config=types.SimpleNamespace(runtime_env={"pip": ["x"]}))
    assert ray.given["runtime_env"]["pip"] == ["x"]
    assert callable(ray.hook)


@pytest.mark.parametrize("url", ["{}/ledger.db", "sqlite:///{}/ledger.db"])
def test_a_worker_elsewhere_does_no_work_on_a_file_of_its_own(ray, box, tmp_path, monkeypatch, url) -> None:
    """Each machine would have the whole budget once more."""
    box(db_path=url.format(tmp_path))
    ray.init()
    here = ray_workers.this_process()
    monkeypatch.setattr(ray_workers, "this_process", lambda: types.SimpleNamespace(host=here.host + "2"))
    with pytest.raises(RuntimeError, match=r"ledger\.db is a file of the driver's; give all one server \(AGENTFUSE_DB"):
        ray.hook()


def test_a_ledger_that_cannot_be_opened_stops_the_worker(tmp_path, run_python) -> None:
    """A trip is no Exception, and Ray knows nothing else there."""
    job = ray_workers._Job(
        pickle.dumps(spawning._Handed({"db_path": str(tmp_path)})), ray_workers.this_process().host, ""
    )
    failed = run_python(WORKER, str(TESTS), pickle.dumps(job).hex(), "", check=False)
    assert "\nRuntimeError: cannot guard a worker of Ray: " in failed.stderr


def test_where_it_cannot_be_guarded_it_is_told(box, tmp_path, caplog) -> None:
    """Ray's client has no workers of its own, and a connection that stands has begun its job."""
    box(db_path=str(tmp_path / "ledger.db"))
    ray_workers.guard_workers(FakeRay(mode=FakeRay.SCRIPT_MODE))
    ray_workers.guard_workers(remote := FakeRay())
    remote.init("ray://head:10001", num_cpus=1)
    assert remote.given == {"num_cpus": 1}
    told = {one.what: one.fix for one in blind.known()}
    assert (
        "agent_fuse.init() before ray.init()"
        in told["Ray was connected to before AgentFuse: calls in its workers are not guarded"]
    )
    assert any(what.startswith("Ray is reached through its client (ray://…)") for what in told)
    assert "partly blind: Ray was connected" in caplog.text


@pytest.mark.parametrize("mode", [None, 1])
def test_what_no_guard_is_for_is_left_alone(mode, caplog) -> None:
    """Without a guard nothing is handed over; inside a worker there is nothing to tell."""
    known = blind.known()
    found = FakeRay(mode=mode)
    ray_workers.guard_workers(found)
    found.init(num_cpus=1)
    assert found.given == {"num_cpus": 1}
    assert blind.known() == known
    assert not caplog.records


def test_books_in_memory_are_told_to_be_a_process_s_own(ray, box, caplog) -> None:
    """`memory://` cannot be shared: each worker would count for itself."""
    box(db_path="memory://")
    with caplog.at_level(logging.WARNING, "agent_fuse"):
        ray.init()
    assert "memory:// is this process's own" in caplog.text
