"""The LangChain callback handler: refuses model calls and tool actions before they begin, and books what they cost."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ParamSpec, cast
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage
from langchain_core.outputs import LLMResult

from agent_fuse import api
from agent_fuse.accounting.call_request import UNTOLD
from agent_fuse.calls import Usage
from agent_fuse.charged import says_nothing
from agent_fuse.errors import ConfigurationError, SentinelError
from agent_fuse.integrations import langchain_facts as facts
from agent_fuse.mistakes import spelled
from agent_fuse.otel import active, instrumentor
from agent_fuse.otel.callbacks import begin_action, begin_call, end_action, give_up, outcome_of
from agent_fuse.otel.open_spans import OpenSpan
from agent_fuse.seams import BOOKED_AT_QUOTE, GOES_ON, HELD_AT_QUOTE, fault, harmless, quietly, unjudged
from agent_fuse.sightings import Outcome

P = ParamSpec("P")

SOURCE = "langchain"
_MAX_RUNS = 10_000


@dataclass(slots=True, eq=False)
class _Run:
    node: OpenSpan
    wraps: bool = False
    """Another model's run stands inside: that one is the call."""


_RUNS: dict[UUID, _Run] = {}
"""Runs under way, whichever handler saw them first: two handlers on one model count once."""


def _judges(method: Callable[P, None]) -> Callable[P, None]:
    """LangChain raises what this handler raises: that must be a trip, never a fault of ours."""

    @functools.wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            method(*args, **kwargs)
        except SentinelError:
            raise
        except Exception as error:  # noqa: BLE001  fail_safe decides
            unjudged("judging a LangChain run", error, fail_safe=active.fail_safe())

    return call


def _books(method: Callable[P, None]) -> Callable[P, None]:
    """What a run cost is paid for: nothing of ours is raised, and what an interrupt broke off is done again."""
    book = harmless("booking a LangChain run", HELD_AT_QUOTE)(method)

    @functools.wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            book(*args, **kwargs)
        except BaseException:
            book(*args, **kwargs)
            raise
        finally:
            _RUNS.pop(cast("UUID", kwargs.get("run_id")), None)

    return call


class AgentFuseCallbackHandler(BaseCallbackHandler):
    """Guards models, chains and agents: `callbacks=[AgentFuseCallbackHandler()]`, sync and async.

    A call that no limit admits, or a tool action in a loop, raises its trip to the caller before anything is sent or
    run. What OpenTelemetry's spans or the request gate see of the same call is booked once.

    Args:
        default_model: taken for the model of runs that do not name theirs.

    Raises:
        ConfigurationError: `default_model` is no name, or a bad AGENTFUSE_* option.
        SentinelSystemError: the ledger cannot be opened and fail_safe=True.
    """

    raise_error = True
    run_inline = True

    @spelled()
    def __init__(self, default_model: str = "gpt-4o") -> None:
        if not isinstance(default_model, str) or not default_model.strip():  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(f"default_model is {default_model!r}; it must be the name of a model")
        self.default_model = default_model
        api.current()
        instrumentor.instrument()

    # Models ----------------------------------------------------------------------------------------------------------

    @_judges
    def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """A chat model is about to be called."""
        said = [message for each in messages for message in each]
        self._begin("chat", serialized, said, run_id, parent_run_id, metadata or {}, kwargs)

    @_judges
    def on_llm_start(
        self,
        serialized: dict[str, Any],
        prompts: list[str],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """A text completion model is about to be called."""
        self._begin("text_completion", serialized, prompts, run_id, parent_run_id, metadata or {}, kwargs)

    def _begin(  # noqa: PLR0917  in the order in which LangChain has them
        self,
        operation: str,
        serialized: dict[str, Any] | None,
        said: Sequence[BaseMessage] | Sequence[str],
        run_id: UUID,
        parent_run_id: UUID | None,
        metadata: dict[str, Any],
        kwargs: dict[str, Any],
    ) -> None:
        if run_id in _RUNS:
            return
        parameters: dict[str, Any] = kwargs.get("invocation_params") or {}
        outer = _RUNS.get(parent_run_id) if parent_run_id is not None else None
        outer = outer if outer is not None and outer.node.action is None else None
        node = begin_call(
            SOURCE,
            operation=operation,
            provider=facts.provider_of(metadata),
            model=facts.model_of(serialized or {}, parameters, metadata, self.default_model),
            body=facts.body_of(said, parameters, metadata),
            facts=metadata,
            session=facts.session_of(metadata),
            agent=facts.agent_of(metadata),
            inside=outer.node if outer is not None else None,
        )
        try:
            if outer is not None:
                outer.wraps = True
            quietly("keeping a LangChain run", HELD_AT_QUOTE, _keep, run_id, node)
        except BaseException:  # a KeyboardInterrupt: LangChain will not call the model
            _give_up(run_id, node)
            raise

    @_books
    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        """The model answered: the call is booked by the usage that the answer tells."""
        del kwargs
        run = _RUNS.get(run_id)
        if run is None:
            return
        try:
            free = run.wraps or facts.is_free(response)
            usage = None if free else facts.result_of(response)
        except Exception as error:  # noqa: BLE001  what was paid for is booked, whatever fails of ours
            fault("reading a LangChain answer", error, BOOKED_AT_QUOTE)
            _end(run, Outcome.BROKEN)
            return
        _end(run, Outcome.FAILED if free else Outcome.DONE, usage)

    @_books
    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """The model failed: its hold is given back unless it may have cost."""
        run = _RUNS.get(run_id)
        if run is not None:
            _fail(run, error, kwargs.get("response"))

    # Tools -----------------------------------------------------------------------------------------------------------

    @_judges
    def on_tool_start(
        self,
        serialized: dict[str, Any],
        input_str: str,
        *,
        run_id: UUID,
        metadata: dict[str, Any] | None = None,
        inputs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """A tool is about to run."""
        if run_id in _RUNS:
            return
        told = metadata or {}
        name = (serialized or {}).get("name") or kwargs.get("name") or "tool"
        arguments = input_str if inputs is None else inputs
        node = begin_action(
            SOURCE, str(name), arguments, facts=told, session=facts.session_of(told), agent=facts.agent_of(told)
        )
        try:
            quietly("keeping a LangChain run", GOES_ON, _keep, run_id, node)
        except BaseException:  # a KeyboardInterrupt: LangChain will not run the tool
            _give_up(run_id, node)
            raise

    @_books
    def on_tool_end(self, output: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """The tool ran; what it returned tells progress from a loop."""
        del kwargs
        run = _RUNS.get(run_id)
        if run is None:
            return
        # A ToolMessage carries the id of its call, which is new each time; what it says is its content.
        result = getattr(output, "content", output)
        failed = getattr(output, "status", "") == "error"
        end_action(run.node, UNTOLD if failed else result, error="error" if failed else "", message=str(result))

    @_books
    def on_tool_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """The tool failed."""
        del kwargs
        run = _RUNS.get(run_id)
        if run is None:
            return
        if any(kind.__name__ == "GraphBubbleUp" for kind in type(error).__mro__):
            end_action(run.node)  # LangGraph's way to wait for a person, or to hand over: no error
        else:
            end_action(run.node, error=type(error).__name__, message=str(error))


def _keep(run_id: UUID, node: OpenSpan | None) -> None:
    """The run was let go: its end belongs to `node`."""
    if node is None:
        return
    run = _RUNS[run_id] = _Run(node)
    quietly("forgetting old LangChain runs", GOES_ON, _forget, run)


def _give_up(run_id: UUID, node: OpenSpan | None) -> None:
    _RUNS.pop(run_id, None)
    if node is not None:
        give_up(node)


def _forget(newest: _Run) -> None:
    while len(_RUNS) > _MAX_RUNS:
        lost = _RUNS.pop(next(iter(_RUNS)), None)
        if lost is not None and lost is not newest:
            _end(lost, Outcome.BROKEN)


def _fail(run: _Run, error: BaseException, response: object) -> None:
    """A run that merely wraps another costs nothing itself; one that wrote something was answered."""
    if run.wraps:
        _end(run, Outcome.FAILED)
    elif quietly("reading a LangChain answer", BOOKED_AT_QUOTE, facts.wrote, response) is not False:
        _end(run, Outcome.BROKEN)
    else:
        outcome = quietly("telling what an error cost", BOOKED_AT_QUOTE, outcome_of, error) or Outcome.BROKEN
        unsure = quietly("telling what an error cost", BOOKED_AT_QUOTE, says_nothing, error) or False
        _end(run, outcome, unsure=unsure)


def _end(run: _Run, outcome: Outcome, usage: Usage | None = None, *, unsure: bool = False) -> None:
    node = run.node
    if node.seen is not None:
        model = cast("Any", node.seen).model
        node.fuse.close_call(node.seen, outcome=outcome, unsure=unsure, usage=usage, model=model)
