"""Ray: workers are started by a node of the cluster, not by this process; each is guarded as the driver is.

The settings go along with the job, as its `worker_process_setup_hook`: Ray runs that in each worker before the first
task, and a worker in which it fails does no work. Sessions are handed over by headers, as to any other process.

Imported by a program that uses Ray.
"""

import os
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from importlib import import_module
from typing import Any, cast

from agent_fuse.errors import SentinelError
from agent_fuse.ledgers.kinds import PATH, scheme_of
from agent_fuse.ledgers.owners import this_process
from agent_fuse.ledgers.sqlite_kind import file_of
from agent_fuse.otel import active, carrying
from agent_fuse.otel.blind import warn_of
from agent_fuse.otel.facts import blind
from agent_fuse.otel.spawning import taken_along
from agent_fuse.seams import harmless, quietly

_HOOK, _ENV = "worker_process_setup_hook", "runtime_env"
_PLACE, _SO = "connecting to Ray", "calls in its workers are not guarded"
_CLIENT = "ray://"
_FILES = {PATH, "sqlite"}


@harmless(_PLACE, _SO)
def guard_workers(ray: Any) -> None:
    """Workers of the jobs that this process starts are guarded from now on; `ray` is the module."""
    if ray.is_initialized() and _is_driver(ray):
        _warn(
            "Ray was connected to before AgentFuse", "call agent_fuse.init() before ray.init(), or use agent-fuse run"
        )
    ray.init = _init(ray.init)


def _init(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def init(*args: Any, **kwargs: Any) -> Any:
        if carrying.installed() and active.guards():
            altered = quietly(_PLACE, _SO, _with_hook, args, kwargs)
            kwargs = altered if altered is not None else kwargs
        return original(*args, **kwargs)

    return init


def _with_hook(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """What to connect with, so that workers are guarded before they begin."""
    where = args[0] if args else kwargs.get("address") or os.environ.get("RAY_ADDRESS")
    if str(where or "").startswith(_CLIENT):
        _warn(f"Ray is reached through its client ({_CLIENT}…)", "set AGENTFUSE_* and agent-fuse run on its nodes")
        return dict(kwargs)
    given = cast("Mapping[str, Any]", kwargs.get(_ENV) or getattr(kwargs.get("job_config"), _ENV, None) or {})
    return {**kwargs, _ENV: {**given, _HOOK: _hook(_Job.of_this_process(), given.get(_HOOK))}}


def _hook(job: "_Job", then: Callable[[], object] | str | None) -> Callable[[], None]:
    """What a worker does first: it guards itself as the job says, then does what the user's own hook would have."""
    handed = pickle.dumps(job)

    def guard_this_worker() -> None:  # Ray pickles it by value: it may run where agent-fuse is not installed
        try:
            found: Any = pickle.loads(handed)  # noqa: S301  our own
        except ModuleNotFoundError as missing:
            raise RuntimeError(f"{missing}: install agent-fuse on every node, its calls cannot be guarded") from missing
        found.guard()
        if isinstance(then, str):
            module, _, name = then.rpartition(".")
            getattr(import_module(module), name)()
        elif then is not None:
            then()

    return guard_this_worker


@dataclass(frozen=True, slots=True)
class _Job:
    """What guards the workers of a job."""

    settings: bytes
    """The driver's, pickled: they guard the process in which they are unpickled."""
    host: str
    file: str
    """The ledger where it is a file, and the machine on which that is."""

    @classmethod
    def of_this_process(cls) -> "_Job":
        """The guard of this process, for workers wherever they are."""
        url = active.guards()[0].fuse.settings.db_path
        file = str(file_of(url)) if scheme_of(url) in _FILES else ""
        return cls(pickle.dumps(taken_along(db_path=file or url)), this_process().host, file)

    def guard(self) -> None:
        """Guard this worker.

        Raises:
            RuntimeError: it cannot be; Ray knows no BaseException here.
        """
        if self.file and this_process().host != self.host:
            raise RuntimeError(
                f"cannot guard a worker of Ray on another machine: the ledger {self.file} is a file of the driver's; "
                "give all one server (AGENTFUSE_DB_PATH=postgresql://…)"
            )
        try:
            pickle.loads(self.settings)  # noqa: S301  our own
        except SentinelError as failed:
            raise RuntimeError(f"cannot guard a worker of Ray: {failed}") from failed


def _is_driver(ray: Any) -> bool:
    return bool(getattr(ray.get_runtime_context().worker, "mode", None) == ray.SCRIPT_MODE)


def _warn(what: str, fix: str) -> None:
    warn_of([blind(f"{what}: {_SO}", fix)])
