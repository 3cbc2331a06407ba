"""`guard`: a decorator that treats each call of a function as one model call."""

from collections.abc import Callable
from typing import Any, TypeVar, cast, overload

from agent_fuse import terms as check
from agent_fuse.byhand.arguments import Parameters
from agent_fuse.byhand.handcalls import SOURCE, HandCall, open_here
from agent_fuse.byhand.wrapping import Start, wrap
from agent_fuse.errors import ConfigurationError

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_MODEL = "gpt-4o"
"""Quoted until the function's own arguments, the request inside or the response name another."""


@overload
def guard(func: F, /) -> F: ...
@overload
def guard(
    model: str | None = None,
    *,
    estimated_input_tokens: int | None = None,
    estimated_output_tokens: int | None = None,
    provider: str = "",
) -> Callable[[F], F]: ...
def guard(
    model: Any = None,
    *,
    estimated_input_tokens: int | None = None,
    estimated_output_tokens: int | None = None,
    provider: str = "",
) -> Any:
    """Guard each call of a function as one model call: `@guard`, `@guard()`, `@guard(model="gpt-4o")`.

    Before it runs, its call is quoted and held; the trip is raised in its place. It is booked by the usage that it
    returns (a response object or dict; for generators, the pieces), else by what an SDK request inside it used, else by
    the quote. Arguments of the function named `model`, `messages` and `prompt` make the quote. Plain and async
    functions, methods, generators and async generators stay what they are; a generator is guarded from its first item
    on.

    Args:
        model: taken where the function has no `model` of its own; gpt-4o.

    Raises:
        ConfigurationError: a bad argument. The function raises what `pre_flight` does.
    """
    if callable(model):
        return wrap("guard", cast("Callable[..., Any]", model), lambda func: _start(func, None, None, None, ""))
    if model is not None and not isinstance(model, str):
        raise ConfigurationError(f"guard model is {model!r}; it must be a model's name, or the function to guard")
    check.terms(
        "guard",
        DEFAULT_MODEL if model is None else model,
        estimated_input_tokens=estimated_input_tokens,
        estimated_output_tokens=estimated_output_tokens,
        provider=provider,
    )

    def decorate(func: F) -> F:
        return wrap(
            "guard",
            func,
            lambda one: _start(one, model, estimated_input_tokens, estimated_output_tokens, provider),
        )

    return decorate


def _start(
    func: Callable[..., Any], model: str | None, input_tokens: int | None, output_tokens: int | None, provider: str
) -> Start:
    parameters = Parameters(func)

    def start(args: tuple[Any, ...], kwargs: dict[str, Any]) -> "_Watch":
        given = parameters.bind(args, kwargs) or {}
        named = _text(given.get("model")) or model
        messages: Any = given.get("messages")
        prompt: Any = given.get("prompt")
        terms = check.terms(
            "guard",
            named or DEFAULT_MODEL,
            estimated_input_tokens=input_tokens,
            estimated_output_tokens=output_tokens,
            messages=messages if type(messages) in (list, tuple) else None,
            prompt=prompt if isinstance(prompt, str) else None,
            provider=provider,
        )
        guards_around = sum(1 for one in open_here() if one.is_guard)
        return _Watch(HandCall(terms, f"{SOURCE}:guard {guards_around}", assumed=named is None).open())

    return start


class _Watch:
    """One guarded call of a function."""

    def __init__(self, made: HandCall) -> None:
        self._made = made

    def enter(self) -> None:
        self._made.enter()

    def leave(self) -> None:
        self._made.leave()

    def yielded(self, value: object) -> None:
        self._made.piece(value)

    def returned(self, value: object) -> None:
        if value is not None:
            self._made.response(value)
        self._made.close()

    def raised(self, error: BaseException) -> None:
        self._made.close(error)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value.strip() else None
