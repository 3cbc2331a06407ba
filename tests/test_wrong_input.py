"""Every public callable, given something wrong: one clear line that names what, the value and what is allowed."""

import enum
import inspect
import math
import re
from decimal import Decimal
from typing import Any

import pytest
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor

import agent_fuse
import agent_fuse.control
import agent_fuse.integrations.asgi
import agent_fuse.integrations.wsgi
from agent_fuse import ConfigurationError, Limit, Price
from agent_fuse.option_types import ProcessorOptions
from agent_fuse.options import OPTIONS
from agent_fuse.settings import Settings, settings

SESSION = lambda **given: agent_fuse.session(**given).__enter__()  # noqa: E731
WRONG: list[tuple[Any, dict[str, Any], str]] = [
    (agent_fuse.init, {"budget": -1}, "budget is -1; it must be a finite amount of USD, 0 or more"),
    (agent_fuse.init, {"budget": math.nan}, "budget is nan; it must be a finite amount of USD, 0 or more"),
    (agent_fuse.init, {"budget": True}, "budget is True, which is not an amount of USD; write a number such as 5.00"),
    (agent_fuse.init, {"budget": 2_000_000}, "budget is 2000000; the largest amount taken is 1,000,000 USD"),
    (agent_fuse.init, {"fail_safe": "maybe"}, "fail_safe is 'maybe'; it must be true or false"),
    (agent_fuse.init, {"session_id": ""}, "session_id is ''; it must be a text that is not empty"),
    (agent_fuse.init, {"session_id": 7}, "session_id is 7; it must be a text that is not empty"),
    (agent_fuse.init, {"db_path": 3}, "db_path is 3; it must be a text that is not empty"),
    (agent_fuse.init, {"db_path": "mysql://x"}, "ledger is 'mysql://x'; mysql:// is none of"),
    (agent_fuse.init, {"loop_threshold": 0}, "loop_threshold is 0; it must be a whole number from 1 to 1,000,000"),
    (agent_fuse.init, {"loop_threshold": 2.5}, "loop_threshold is 2.5; it must be a whole number from 1 to 1,000,000"),
    (agent_fuse.init, {"loop_detection_enabled": 2}, "loop_detection_enabled is 2; it must be true or false"),
    (agent_fuse.init, {"limits": [5]}, "limits holds 5; each must be a Limit, such as Limit(usd=5)"),
    (
        agent_fuse.init,
        {"prices": {"m": 3}},
        "prices['m'] is 3; write agent_fuse.Price(input, output), or the name of the model",
    ),
    (agent_fuse.init, {"max_retries": -1}, "max_retries is -1; it must be a whole number from 0 to 100"),
    (
        agent_fuse.init,
        {"lock_timeout": "soon"},
        "lock_timeout is 'soon'; it must be a number of seconds from 0.1 to 600",
    ),
    (agent_fuse.init, {"hold_seconds": 0}, "hold_seconds is 0; it must be a number of seconds from 1 to 2.592e+06"),
    (agent_fuse.init, {"synchronous": "off"}, "synchronous is 'off'; it must be one of normal, full"),
    (agent_fuse.init, {"unknown_model": "pay"}, "unknown_model is 'pay'; it must be one of fallback, block, free"),
    (agent_fuse.init, {"warn_at": 80}, "warn_at is 80; each must be a share above 0 and at most 1, such as 0.8"),
    (agent_fuse.init, {"on_warning": "print"}, "on_warning is 'print'; it must be a plain function of one argument"),
    (agent_fuse.init, {"loop_tool_thresholds": {"x": 0}}, "loop_tool_thresholds['x'] is 0; it must be a whole number"),
    (
        agent_fuse.init,
        {"loop_tool_thresholds": 3},
        "loop_tool_thresholds is 3; it must map tool names to whole numbers",
    ),
    (agent_fuse.init, {"loop_allow": [1]}, "loop_allow holds 1; each must be a text"),
    (agent_fuse.init, {"loop_ignore_args": 4}, "loop_ignore_args holds 4; each must be a text"),
    (agent_fuse.init, {"bugdet": 5}, "bugdet is no option; did you mean budget?"),
    (agent_fuse.init, {"colour": 5}, "colour is no option; there are budget, total_budget, limits"),
    (agent_fuse.AgentFuseSpanProcessor, {"bugdet": 5}, "bugdet is no argument of AgentFuseSpanProcessor; did you"),
    (agent_fuse.init, {"session_id": "a\0b"}, "session_id is 'a\\x00b'; it must be a text without NUL characters"),
    (agent_fuse.init, {"endpoints": "not a url"}, "endpoints holds 'not a url': 'not a url' names no host; give a"),
    (agent_fuse.AgentFuseSampler, {"delegate": 5}, "AgentFuseSampler delegate is 5; it must be the sampler to wrap"),
    (SESSION, {"id": "a\0b"}, "session id is 'a\\x00b'; it must be a text without NUL characters"),
    (SESSION, {"id": "x", "bugdet": 1}, "bugdet is no argument of session; did you mean budget? An attribute of that"),
    (SESSION, {"id": "x", "budget_usd": 1}, "budget_usd is no argument of session; did you mean budget or limits?"),
    (SESSION, {"id": "x", "limit": Limit(usd=1)}, "limit is no argument of session; did you mean limits?"),
    (SESSION, {"id": "x", "max_cost": 1}, "max_cost is no argument of session; did you mean budget or limits?"),
    (SESSION, {"id": "x", "user": "u"}, "user is no argument of session; did you mean user_id?"),
    (SESSION, {"id": "x", "strict": True}, "strict is no argument of session; there are id, budget, limits"),
    (SESSION, {"id": "x", "calls": 3}, "calls is no argument of session; there are id, budget, limits"),
    (SESSION, {"id": "x", "attributes": 3}, "session attributes is 3; it must map names to texts"),
    (SESSION, {"id": "x", "attributes": {"k": [1]}}, "session attribute k is [1]; it must be a text or a number"),
    (SESSION, {"id": "x", "attributes": {7: "v"}}, "session attribute is 7; it must be a text that is not empty"),
    (Limit, {"uds": 5}, "uds is no argument of Limit; did you mean usd?"),
    (Limit, {"colour": 5}, "colour is no argument of Limit; there are usd, tokens, output_tokens, calls"),
    (lambda: Limit(5), {}, "Limit(5) does not say what it is; write what it is, as in Limit(usd=5)"),
    (lambda: Price(1, 2, 3), {}, "Price(3) does not say what it is; write what it is, as in Price(cache_read=3)"),
    (agent_fuse.Usage, {"input_tokens": -1}, "Usage input_tokens is -1; it must be a whole number of tokens, or None"),
    (agent_fuse.Usage, {"output_tokens": 1.5}, "Usage output_tokens is 1.5; it must be a whole number of tokens"),
    (agent_fuse.Usage, {"reasoning_tokens": True}, "Usage reasoning_tokens is True; it must be a whole number"),
    (agent_fuse.AgentFuseSpanProcessor, {"budget": "lots"}, "budget is 'lots', which is not an amount of USD"),
    (SESSION, {"id": ""}, "session id is ''; it must be a text that is not empty"),
    (SESSION, {"id": None}, "session id is None; it must be a text that is not empty"),
    (SESSION, {"id": "x", "budget": -3}, "session budget is -3; it must be a finite amount of USD, 0 or more"),
    (SESSION, {"id": "x", "on_child_trip": ["end"]}, "session on_child_trip is ['end']; it must be 'raise' or 'end'"),
    (agent_fuse.charge, {"name": "gpu", "usd": 1, "id": []}, "charge id is []; it must be a text that is not empty"),
    (Limit, {"usd": 1, "on_limit": ["wait"]}, "Limit on_limit=['wait']; it must be 'refuse' or 'wait'"),
    (SESSION, {"id": "x", "limits": (1,)}, "session limits holds 1; each must be a Limit"),
    (
        Limit,
        {},
        "Limit takes exactly one of usd, tokens, output_tokens, calls, tool_calls, concurrent, seconds; got none",
    ),
    (Limit, {"usd": 1, "calls": 1}, "Limit takes exactly one of usd"),
    (Limit, {"calls": 1.5}, "Limit calls=1.5; it must be a whole number, 0 or more"),
    (
        agent_fuse.session,
        {"id": "s", "budget": 1, "ring_fenced": "no"},
        "session ring_fenced is 'no'; it must be True or",
    ),
    (
        agent_fuse.session,
        {"id": "s", "budget": 1, "ring_fenced": 1},
        "session ring_fenced is 1; it must be True or False",
    ),
    (Limit, {"usd": 1, "per": ""}, "Limit per=''; it must be 'session', 'agent', ... or an attribute name"),
    (Price, {"input": -1, "output": 1}, "input"),
    (agent_fuse.pre_flight, {"model": ""}, "pre_flight model is ''; it must be a text that is not empty"),
    (agent_fuse.pre_flight, {"model": None}, "pre_flight model is None; it must be a text that is not empty"),
    (
        agent_fuse.pre_flight,
        {"model": "m", "estimated_input_tokens": -5},
        "pre_flight estimated_input_tokens is -5; it must be a whole number of tokens from 0 to 10,000,000,000, or None",
    ),
    (
        agent_fuse.pre_flight,
        {"model": "m", "estimated_output_tokens": math.nan},
        "pre_flight estimated_output_tokens is nan; it must be a whole number of tokens",
    ),
    (agent_fuse.pre_flight, {"model": "m", "messages": "hi"}, "pre_flight messages is 'hi'; it must be a list of"),
    (agent_fuse.pre_flight, {"model": "m", "messages": {}}, "pre_flight messages is {}; it must be a list of messages"),
    (
        agent_fuse.pre_flight,
        {"model": "m", "prompt": 3},
        "pre_flight prompt is 3; it must be a text or a list of texts",
    ),
    (agent_fuse.pre_flight, {"model": "m", "provider": 3}, "pre_flight provider is 3; it must be a text"),
    (agent_fuse.call, {"model": 5}, "call model is 5; it must be a text that is not empty"),
    (agent_fuse.call, {"model": "m", "estimated_input_tokens": "9"}, "call estimated_input_tokens is '9'; it must be"),
    (
        agent_fuse.post_flight,
        {"model": "m", "input_tokens": -1, "output_tokens": 1},
        "post_flight input_tokens is -1; it must be a whole number of tokens from 0 to 10,000,000,000, or None",
    ),
    (
        agent_fuse.post_flight,
        {"model": "m", "input_tokens": 1, "output_tokens": math.inf},
        "post_flight output_tokens is inf; it must be a whole number of tokens",
    ),
    (
        agent_fuse.post_flight,
        {"model": "m", "input_tokens": 1, "output_tokens": 1, "cache_read_tokens": 5},
        "post_flight cache_read_tokens is 5; it must be at most input_tokens, 1, which includes it",
    ),
    (
        agent_fuse.post_flight,
        {"model": "m", "input_tokens": 1, "output_tokens": 1, "metadata": "x"},
        "post_flight metadata is 'x'; it must be a mapping, or None",
    ),
    (agent_fuse.guard, {"model": 3}, "guard model is 3; it must be a model's name, or the function to guard"),
    (agent_fuse.guard, {"estimated_input_tokens": -1}, "guard estimated_input_tokens is -1; it must be"),
    (lambda: agent_fuse.guard()(3), {}, "guard decorates 3; it must be a function or a method"),
    (lambda: agent_fuse.guard(Settings), {}, "guard decorates <class 'agent_fuse.settings.Settings'>; it must be a"),
    (agent_fuse.check_loop, {"tool_name": ""}, "check_loop tool_name is ''; it must be a text that is not empty"),
    (agent_fuse.check_loop, {"tool_name": "t", "session_id": 4}, "check_loop session_id is 4; it must be a text"),
    (agent_fuse.loop_guard, {"tool_name": 4}, "loop_guard tool_name is 4; it must be a text that is not empty"),
    (lambda: agent_fuse.loop_guard()("x"), {}, "loop_guard decorates 'x'; it must be a function or a method"),
]


@pytest.mark.parametrize(("call", "given", "message"), WRONG, ids=[message[:60] for _, _, message in WRONG])
def test_wrong_input(box, call, given, message):
    """A bad argument is a ConfigurationError (a ValueError) of one line that says what to write instead."""
    box(budget=1)
    with pytest.raises(ConfigurationError) as bad:
        call(**given)
    assert str(bad.value).startswith(message) or (message == "input" and message in str(bad.value))
    assert "\n" not in str(bad.value)
    assert isinstance(bad.value, ValueError)


def test_a_bad_figure_of_a_call_is_refused(box):
    """`call.usage` names a bad figure; the call can still be told a good one."""
    rig = box(budget=1)
    with agent_fuse.call("gpt-4o", 1, 1) as one:
        with pytest.raises(ConfigurationError, match=r"call\.usage output_tokens is 'x'; it must be a whole number"):
            one.usage(1, "x")  # type: ignore[arg-type]
        one.usage(1, 1.0)  # type: ignore[arg-type]
    assert rig.entry().output_tokens == 1


GIVEN = {"Alert", "Fact", "HandCall", "UsageStats"}
"""Values that AgentFuse makes, and users get."""


def _takes(one, *, of=""):
    """A callable of the user's, with every keyword that it takes."""
    name = f"{of}{one.__name__}"
    try:
        words = inspect.signature(one).parameters.values()
    except ValueError:
        return
    named = [w.name for w in words if w.kind in (w.KEYWORD_ONLY, w.POSITIONAL_OR_KEYWORD) and w.name != "self"]
    yield from ((name, one, word) for word in named or ("",))


def _begin(made):
    """What is a block is judged at the latest where it begins."""
    if hasattr(made, "__enter__"):
        made.__enter__()


def _public_callables():
    """Every word of every function and class that users call, found through the lists of public names."""
    for module in (agent_fuse, agent_fuse.control, agent_fuse.integrations):
        for name in module.__all__:
            one = getattr(module, name)
            if isinstance(one, type) and (
                issubclass(one, BaseException | enum.Enum | BaseInstrumentor)
                or one.__name__ in GIVEN
                or module is agent_fuse.control
            ):
                continue  # made by AgentFuse itself, or by nothing at all
            yield from _takes(one)
    yield from _takes(agent_fuse.integrations.asgi.AgentFuseMiddleware, of="asgi.")
    yield from _takes(agent_fuse.integrations.wsgi.AgentFuseMiddleware, of="wsgi.")
    yield from _takes(agent_fuse.HandCall.usage)
    yield from _takes(agent_fuse.HandCall.response)


@pytest.mark.parametrize(
    ("call", "word"),
    [pytest.param(one, word, id=f"{name}-{word}") for name, one, word in _public_callables()],
)
def test_a_misspelt_keyword_names_the_one_that_was_meant(box, call, word):
    """Whichever keyword of whichever public callable is misspelt, it is an error of one line that says which it is."""
    box(budget=1)
    wrong = word[:1] + word[2:3] + word[1:2] + word[3:]
    wrong = wrong if wrong != word else f"{word}{word[-1:] or 'colour'}"
    given = ("x",) if call is agent_fuse.session else ()
    with pytest.raises(ConfigurationError) as bad:
        _begin(call(*given, **{wrong: 1}))
    meant = f"did you mean {word}?" if word else "it takes none"
    assert re.match(rf"{wrong} is no (option|argument of [\w.]+); {re.escape(meant)}", str(bad.value))
    assert "\n" not in str(bad.value)


def test_an_option_given_to_a_client_is_told_its_place(box):
    """A drop-in client takes what the SDK's does; what is an option of ours is given to `init`."""
    box(budget=1)
    with pytest.raises(ConfigurationError, match=r"^budget is no argument of AgentFuseOpenAI; give it to agent_fuse"):
        agent_fuse.integrations.AgentFuseOpenAI(api_key="k", budget=5)


def test_a_client_of_ones_own_takes_what_it_likes(box):
    """A class made from a drop-in client, with words of its own, is left to itself."""
    box(budget=1)

    class Mine(agent_fuse.integrations.AgentFuseOpenAI):
        def __init__(self, *, team, **rest):
            self.team = team
            super().__init__(**rest)

    assert Mine(team="red", api_key="k").team == "red"
    assert Mine(team="red", api_key="k").api_key == "k"


def test_attributes_of_a_session(box):
    """Attributes are keys for limits, as text; None is not there, and is no text "None"."""
    box(budget=1)
    with agent_fuse.session("s", user_id=None, attributes={"team": "red", "size": 3, "none": None}) as one:
        assert one.attributes == {"team": "red", "size": "3"}
    with agent_fuse.session("s", user_id="ann") as one:
        assert one.attributes == {"user.id": "ann"}


def test_a_keyword_that_was_an_attribute_warns(box):
    """A keyword of one's own is an attribute for one release more, and the warning says what to write instead."""
    box(budget=1)
    with pytest.warns(DeprecationWarning, match=r'write attributes=\{"user\.month": \'ann:11\'\}') as warned:
        made = agent_fuse.session("s", user_month="ann:11")
    with made as one:
        assert one.attributes == {"user.month": "ann:11"}
    assert {one.filename for one in warned} == {__file__}


ENVIRONMENT = [
    ("AGENTFUSE_BUGDET", "5", "AGENTFUSE_BUGDET is no option; did you mean AGENTFUSE_BUDGET?"),
    ("AGENT_FUSE_BUDGET", "5", "AGENT_FUSE_BUDGET is no option; did you mean AGENTFUSE_BUDGET?"),
    ("agentfuse_db_path", "x", "agentfuse_db_path is no option; did you mean AGENTFUSE_DB_PATH?"),
    ("AGENTFUSE_COLOUR", "red", "AGENTFUSE_COLOUR is no option; there are AGENTFUSE_BUDGET, AGENTFUSE_TOTAL_BUDGET"),
    ("AGENTFUSE_LIMITS", "5", "AGENTFUSE_LIMITS is '5', and there is no such file"),
    (
        "AGENTFUSE_ON_WARNING",
        "f",
        "AGENTFUSE_ON_WARNING is set, but on_warning is given in code alone: init(on_warning=…)",
    ),
    (
        "AGENTFUSE_BUDGET",
        "abc",
        "AGENTFUSE_BUDGET is 'abc', which is not an amount of USD; write a number such as 5.00",
    ),
    ("AGENTFUSE_FAIL_SAFE", "perhaps", "AGENTFUSE_FAIL_SAFE is 'perhaps'; it must be true or false"),
    ("AGENTFUSE_MAX_RETRIES", "x", "AGENTFUSE_MAX_RETRIES is 'x'; it must be a whole number from 0 to 100"),
    ("AGENTFUSE_LOOP_THRESHOLD", "-1", "AGENTFUSE_LOOP_THRESHOLD is '-1'; it must be a whole number from 1 to"),
    ("AGENTFUSE_WARN_AT", "0.5,2", "AGENTFUSE_WARN_AT is '0.5,2'; each must be a share above 0 and at most 1"),
    ("AGENTFUSE_LOOP_TOOL_THRESHOLDS", "a", "AGENTFUSE_LOOP_TOOL_THRESHOLDS['a'] is ''; it must be a whole number"),
    ("AGENTFUSE_SYNCHRONOUS", "x", "AGENTFUSE_SYNCHRONOUS is 'x'; it must be one of normal, full"),
]


@pytest.mark.parametrize(("name", "value", "message"), ENVIRONMENT, ids=[one[0] for one in ENVIRONMENT])
def test_a_bad_variable_fails_at_start(name, value, message):
    """A bad environment variable is named as it was written."""
    with pytest.raises(ConfigurationError) as bad:
        settings({name: value})
    assert str(bad.value).startswith(message)


@pytest.mark.parametrize(
    "start",
    ["agent_fuse.init()", "agent_fuse.AgentFuseSpanProcessor()", "agent_fuse.pre_flight('m')", "agent_fuse.monitor()"],
)
def test_every_way_to_start_reads_the_environment(run_python, monkeypatch, start):
    """Whatever guards a process first refuses a misspelt variable; an empty one is not set."""
    monkeypatch.setenv("AGENTFUSE_BUGDET", "5")
    monkeypatch.setenv("AGENTFUSE_SOMETHING", "")
    failed = run_python(f"import agent_fuse; {start}", check=False)
    assert failed.returncode == 1
    assert failed.stderr.endswith("AGENTFUSE_BUGDET is no option; did you mean AGENTFUSE_BUDGET?\n")


def test_the_command_line_reads_the_environment(run_python, monkeypatch):
    """A command ends with one line, and as bad usage, where a variable is misspelt."""
    monkeypatch.setenv("AGENTFUSE_BUGDET", "5")
    failed = run_python("from agent_fuse.cli import main; main(['status'])", check=False)
    assert failed.returncode == 2
    assert failed.stderr == "agent-fuse: AGENTFUSE_BUGDET is no option; did you mean AGENTFUSE_BUDGET?\n"


def test_arguments_over_environment_over_defaults():
    """An argument wins over its variable, a variable over the default; an empty variable is not set."""
    environ = {
        "AGENTFUSE_BUDGET": "3",
        "AGENTFUSE_LOOP_THRESHOLD": "9",
        "AGENTFUSE_FAIL_SAFE": "no",
        "AGENTFUSE_DB_PATH": " ",
    }
    found = settings(environ, budget=5)
    assert (found.budget, found.loop_threshold, found.fail_safe) == (Decimal(5), 9, False)
    assert found.db_path == "~/.agent_fuse/guard_v1.db"
    bare = settings({})
    assert (bare.budget, bare.fail_safe, bare.max_retries, bare.loop_threshold) == (Decimal("1.00"), True, 3, 5)
    assert (bare.loop_detection_enabled, bare.session_id, bare.warn_at) == (True, "", (0.5, 0.8, 0.95))


def test_texts_from_the_environment():
    """Lists, maps and shares are read from text."""
    found = settings(
        {
            "AGENTFUSE_LOOP_TOOL_THRESHOLDS": "search=3, fetch=10",
            "AGENTFUSE_LOOP_ALLOW": "poll, wait",
            "AGENTFUSE_WARN_AT": "0.9,0.5",
        }
    )
    assert dict(found.loop_tool_thresholds) == {"search": 3, "fetch": 10}
    assert (found.loop_allow, found.warn_at) == (("poll", "wait"), (0.5, 0.9))
    assert settings({"AGENTFUSE_WARN_AT": "none"}).warn_at == ()


def test_limits_alone_stand_alone():
    """The default budget holds only where nothing else limits; a budget of the environment holds beside limits."""
    assert settings({}, limits=Limit(calls=3)).budget is None
    assert settings({"AGENTFUSE_BUDGET": "2"}, limits=Limit(calls=3)).budget == 2
    assert settings({}).budget == 1


def test_the_table_is_the_whole_truth():
    """Settings, the types of `init` and of the processor, and the table name the same options."""
    names = {one.name for one in OPTIONS}
    assert set(Settings.__dataclass_fields__) == names
    named = {"budget", "limits", "session_id", "db_path", "fail_safe", "strict", "prices"}
    assert set(ProcessorOptions.__annotations__) | named == names


def test_the_settings_page_is_current():
    """docs/settings.md is what the table makes: run `python scripts/settings_page.py --write` when this fails."""
    import importlib.util
    from pathlib import Path

    path = Path(__file__).parents[1] / "scripts" / "settings_page.py"
    spec = importlib.util.spec_from_file_location("settings_page", path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.PAGE.read_text() == script.page()
