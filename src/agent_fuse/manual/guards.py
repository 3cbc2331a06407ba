"""`guard`: a decorator that treats each call of a function as one model call."""

import inspect
import logging
from collections.abc import Callable
from typing import Any, TypeVar, cast, overload

from agent_fuse import terms as check
from agent_fuse.calls import show_usd, to_nanos
from agent_fuse.errors import ConfigurationError
from agent_fuse.manual.arguments import Parameters
from agent_fuse.manual.calls import SOURCE, HandCall, open_here
from agent_fuse.mistakes import spelled
from agent_fuse.otel.wrapping import Start, wrap

log = logging.getLogger("agent_fuse")

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
@spelled()
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
    # A caller who gives the answer's size has said what to book.
    untold = _Untold(func) if output_tokens is None else None

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
        made = HandCall(terms, f"{SOURCE}:guard {guards_around}", assumed=named is None)
        watch = _Watch(made, untold)
        made.open()
        return watch

    return start


class _Watch:
    """One guarded call of a function."""

    def __init__(self, made: HandCall, untold: "_Untold | None") -> None:
        self._made = made
        self._untold = untold

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
        if self._untold is not None and self._made.is_guessed:
            self._untold.tell(self._made)

    def raised(self, error: BaseException) -> None:
        self._made.close(error)


class _Untold:
    """A word, once, for a function whose calls can only be booked at their quotes."""

    def __init__(self, func: Callable[..., Any]) -> None:
        named: Any = inspect.unwrap(func)
        self._name = f"{getattr(named, '__module__', '')}.{getattr(named, '__qualname__', repr(func))}".lstrip(".")
        self._told = False

    def tell(self, made: HandCall) -> None:
        """One of its calls told nothing of what it used."""
        if self._told:
            return
        self._told = True
        into, out = made.quoted_tokens
        log.warning(
            "@guard: %s tells no usage, so its calls are booked at their quotes, this one at %s for %s tokens in, %s "
            "out; let it return the provider's response or a Usage, or give estimated_output_tokens",
            *(self._name, show_usd(to_nanos(made.quoted_usd)), f"{into:,}", f"{out:,}"),
        )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value.strip() else None
