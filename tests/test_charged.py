"""Did it cost? One table, one answer: whatever path an error comes by, it is judged the same."""

import asyncio
import builtins
import json
import traceback
import urllib.error
from collections import Counter
from itertools import chain
from typing import Any

import pytest

from agent_fuse.charged import TABLE, FailureCost, Says, cost_nothing, of_error, of_words, says_nothing
from agent_fuse.charging.aws import AWS
from agent_fuse.charging.clients import HTTP, PYTHON
from agent_fuse.charging.sdks import SDKS
from agent_fuse.dialects.reading import charge_of, outcome_of
from agent_fuse.errors import SentinelBudgetExceeded, soften
from agent_fuse.manual.failures import is_free
from agent_fuse.otel.callbacks import outcome_of as callback_outcome
from agent_fuse.sightings import Outcome
from raised import MODULES, exported, kept

ROWS = (*PYTHON, *HTTP, *SDKS, *AWS)
NOTHING, MAYBE, UNKNOWN = FailureCost.NOTHING, FailureCost.MAYBE, FailureCost.UNKNOWN


def made(name: str, message: str = "x", **fields: Any) -> Exception:
    """An error of a class of this name, as no library has to be installed for it."""
    error = type(name, (Exception,), {})(message)
    for field, value in fields.items():
        setattr(error, field, value)
    return error


def raised(outer: BaseException, *, over: BaseException, explicit: bool) -> tuple[BaseException, str]:
    """An error that was really raised while another was handled, and its printed traceback."""

    def inner() -> None:
        raise over

    try:
        try:
            inner()
        except BaseException as cause:
            if explicit:
                raise outer from cause
            raise outer  # noqa: B904  that is the case
    except BaseException as error:
        return error, "".join(traceback.format_exception(error))


def paths(error: BaseException) -> dict[str, Outcome]:
    """The answer of each path; a span is ended while the error is handled, and tells its class."""
    name = type(error).__name__
    told = charge_of(None, failed=True, error=name, message=str(error), raised=error)
    return {
        "span": told.outcome if told is not None else Outcome.DONE,
        "callbacks": callback_outcome(error),
        "by hand": Outcome.FAILED if is_free(error) else Outcome.BROKEN,
        "request gate": Outcome.FAILED if cost_nothing(error) else Outcome.BROKEN,
    }


def test_a_class_is_in_the_table_once() -> None:
    """No class has two answers, every row says of which library it is and why."""
    assert [name for name, times in Counter(chain(*(row.names for row in ROWS))).items() if times > 1] == []
    assert all(row.library and row.why and row.names for row in ROWS)
    assert all(row.otherwise in (Says.NOTHING, Says.MAYBE, Says.UNSAID) for row in ROWS)


@pytest.mark.parametrize("package", MODULES)
def test_every_exception_of_the_libraries_is_in_the_table(package: str) -> None:
    """A class that a library's new release brings has no answer yet: say in `charging/` what it means, and why."""
    names = {*exported(package), *chain(*kept().get(package, {}).values())}
    assert names, f"{package} is neither installed nor written down: python tests/raised.py"
    assert sorted(names - TABLE.keys()) == []


@pytest.mark.parametrize("status", [None, 200, 307, 429, 503])
def test_every_path_gives_the_same_answer(status: int | None) -> None:
    """Whatever the class, and whatever status it carries, all four paths agree."""
    for name in TABLE:
        error = made(name) if status is None else made(name, status_code=status)
        assert len(set(paths(error).values())) == 1, name


def test_a_span_that_tells_the_class_alone_gives_it_too() -> None:
    """With or without its module, the name of a class says what the class says."""
    for name in TABLE:
        expected = of_error(made(name)).outcome
        assert outcome_of(None, failed=True, error=name, message="x") is expected, name
        assert outcome_of(None, failed=True, error=f"some.module.{name}", message="x") is expected, name


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.names[0])
def test_a_row_says_what_it_says(row: Any) -> None:
    """Bare, each class of a row is judged by the row alone."""
    expected = {Says.NOTHING: NOTHING, Says.MAYBE: MAYBE}.get(
        row.says if row.otherwise is Says.UNSAID else row.otherwise
    )
    assert {of_error(made(name)) for name in row.names} == {expected or UNKNOWN}


@pytest.mark.parametrize("status", [300, 307, 400, 401, 404, 408, 413, 429, 500, 503, 529])
def test_an_error_status_cost_nothing(status: int) -> None:
    """On the error, on its response, under any of its usual names: an answer with an error status is not charged."""
    response = made("Response", status_code=status)
    for error in (
        made("Unheard", status_code=status),
        made("Unheard", status=status),
        made("Unheard", code=status),
        made("Unheard", response=response),
        made("Unheard", response={"ResponseMetadata": {"HTTPStatusCode": status}}),
        urllib.error.HTTPError("http://x", status, "no", {}, None),  # type: ignore[arg-type]
    ):
        assert set(paths(error).values()) == {Outcome.FAILED}
    assert of_words("", status=status) is of_words(str(status)) is NOTHING


@pytest.mark.parametrize("status", [200, 201])
def test_an_error_after_a_good_status_may_have_cost(status: int) -> None:
    """An answer came: whatever was raised over it, even by the name of an error status (in a stream), it is booked."""
    for error in (
        made("Unheard", status_code=status),
        made("RateLimitError", response=made("Response", status_code=status), status_code=status),
        made("APIStatusError", response=made("Response", status_code=status)),
        made("ServerError", response=made("Response", status_code=status), code=503),
    ):
        assert set(paths(error).values()) == {Outcome.BROKEN}
    assert of_words("RateLimitError", status=status) is MAYBE


@pytest.mark.parametrize("value", [True, 42, 0, 1000, "429", "rate_limit", None, -1])
def test_what_is_no_status_says_nothing(value: object) -> None:
    """Codes that are words, exit codes and flags are no HTTP status."""
    assert of_error(made("Unheard", code=value, status=value, status_code=value)) is UNKNOWN


def test_an_exit_code_is_no_status() -> None:
    """`sys.exit(404)` is no answer of a provider."""
    assert of_error(SystemExit(404)) is UNKNOWN


def test_a_property_that_raises_hurts_nobody() -> None:
    """A fault of another library's error is not ours: what it does not tell is not known."""

    class Hostile(Exception):
        @property
        def response(self) -> object:
            raise RuntimeError("no")

        def __str__(self) -> str:
            raise RuntimeError("no")

    assert of_error(Hostile()) is UNKNOWN


@pytest.mark.parametrize("outer", ["APIConnectionError", "OpenAIConnectionError", "ModelConnectionError"])
@pytest.mark.parametrize(
    ("inner", "charge"), [("ConnectError", NOTHING), ("ReadError", MAYBE), ("RemoteProtocolError", MAYBE)]
)
def test_a_wrapper_means_what_it_was_raised_from(outer: str, inner: str, charge: FailureCost) -> None:
    """An SDK's error for whatever kept it from an answer is judged by the transport's, alive or printed."""
    error, trace = raised(made(outer), over=made(inner), explicit=True)
    assert of_error(error) is charge
    assert of_words(f"openai.{outer}", message="Connection error.", trace=trace) is charge
    assert of_words(outer) is (MAYBE if outer == "ModelConnectionError" else NOTHING), "bare"


def test_a_wrapper_without_from_is_judged_by_what_it_wraps() -> None:
    """`except RateLimitError: raise AgentError(...)` says what the rate limit says, and so does its traceback."""
    error, trace = raised(made("AgentError"), over=made("RateLimitError"), explicit=False)
    assert of_error(error) is of_words("AgentError", trace=trace) is NOTHING
    assert of_error(made("AgentError")) is UNKNOWN


def test_a_bug_in_a_handler_is_not_what_it_handled() -> None:
    """A fallback that was answered and then misread is no rate limit, though it began as one."""
    error, trace = raised(KeyError("choices"), over=made("RateLimitError"), explicit=False)
    assert of_error(error) is of_words("KeyError", trace=trace) is UNKNOWN


def test_a_retry_after_a_timeout_is_judged_by_itself() -> None:
    """The error that was raised last counts, not an earlier attempt's that it was raised after."""
    error, trace = raised(made("ConnectError"), over=made("ReadTimeout"), explicit=False)
    assert of_error(error) is of_words("ConnectError", trace=trace) is NOTHING


def test_an_error_that_is_its_own_cause_ends() -> None:
    """A chain that goes round in a circle is looked at once."""
    one, other = made("Unheard"), made("Unheard")
    one.__cause__, other.__cause__ = other, one
    assert of_error(one) is UNKNOWN


def test_an_error_kept_among_the_arguments_counts() -> None:
    """What went wrong: requests and urllib3 keep it in `args` and `reason`, botocore in `kwargs`."""
    assert of_error(made("MaxRetryError", reason=made("NewConnectionError"))) is NOTHING
    assert of_error(made("MaxRetryError", reason=made("ProtocolError"))) is MAYBE
    assert of_error(made("HTTPClientError", kwargs={"error": made("NewConnectionError")})) is NOTHING
    assert of_error(type("ConnectionError", (Exception,), {})(made("NewConnectionError"))) is NOTHING
    assert of_error(urllib.error.URLError(ConnectionRefusedError())) is NOTHING
    assert of_error(urllib.error.URLError(ConnectionResetError())) is MAYBE


def test_a_status_that_is_made_up_is_not_believed() -> None:
    """For aiohttp an unreadable answer is a 400; pydantic-ai gives an error in a stream a status of its own."""
    error = made("ClientResponseError", status=400)
    error.__cause__ = made("BadHttpMessage", code=400)
    assert set(paths(error).values()) == {Outcome.BROKEN}
    assert of_error(made("ModelHTTPError", status_code=429)) is NOTHING
    assert of_error(made("ModelHTTPError", status_code=429, in_stream=True)) is MAYBE
    assert of_error(made("EventStreamError", response={"ResponseMetadata": {"HTTPStatusCode": 400}})) is MAYBE
    assert of_error(made("APIConnectionError", status_code=500, __cause__=made("ReadError"))) is MAYBE, "LiteLLM"


WORDS = [
    ("Unheard", "Error code: 429 - {'error': {}}", NOTHING),
    ("", "Error code: 429 - {'error': {}}", NOTHING),
    ("Unheard", "status_code: 429, model_name: gpt-4o, body: {}", NOTHING),
    ("Unheard", "the page has 429 words and an Error code: 12", UNKNOWN),
    ("ValueError", "Error code: 429 - a tool of the host's own", UNKNOWN),
    ("APIError", "429 RESOURCE_EXHAUSTED. {'error': {}}", NOTHING),
    ("HTTPError", "429 Client Error: Too Many Requests for url: http://x", NOTHING),
    ("HTTPStatusError", "Client error '429 Too Many Requests' for url 'http://x'", NOTHING),
    ("ClientResponseError", "429, message='Too Many Requests', url='http://x'", NOTHING),
    ("SDKError", "API error occurred: Status 429. Body: {}", NOTHING),
    ("SDKError", "API error occurred: Status 200. Body: {}", MAYBE),
    ("ApiError", "headers: {}, status_code: 429, body: {}", NOTHING),
    ("ClientError", "An error occurred (ThrottlingException) when calling the Converse operation: no", NOTHING),
    ("_InactiveRpcError", "<_InactiveRpcError of RPC ... status = StatusCode.RESOURCE_EXHAUSTED", NOTHING),
    ("_InactiveRpcError", "<_InactiveRpcError of RPC ... status = StatusCode.DEADLINE_EXCEEDED", MAYBE),
    (
        "ConnectionError",
        "HTTPConnectionPool(...): Max retries exceeded with url: / (Caused by NewConnectionError(",
        NOTHING,
    ),
    (
        "ConnectionError",
        "HTTPConnectionPool(...): Max retries exceeded with url: / (Caused by ProxyError('Unable",
        NOTHING,
    ),
    ("ConnectionError", "('Connection aborted.', RemoteDisconnected('Remote end closed connection'))", MAYBE),
    ("ConnectionError", "", MAYBE),
    ("OSError", "[Errno 113] No route to host", NOTHING),
    ("OSError", "[Errno 28] No space left on device", UNKNOWN),
    ("SSLError", "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed", NOTHING),
    ("URLError", "<urlopen error [Errno -2] Name or service not known>", NOTHING),
    ("Unheard", "Connection refused by the host's own rules", UNKNOWN),
    ("APIStatusError", "{'type': 'error', 'error': {'type': 'overloaded_error'}}", MAYBE),
    ("", "", UNKNOWN),
    ("_OTHER", "", UNKNOWN),
]


@pytest.mark.parametrize(("name", "message", "charge"), WORDS)
def test_words_tell_where_the_class_does_not(name: str, message: str, charge: FailureCost) -> None:
    """The ways in which libraries write a status or a refused connection are read; a host's own words are not."""
    assert of_words(name, message=message) is charge
    if name and not hasattr(builtins, name):
        assert of_error(made(name, message)) is charge


def test_a_group_is_what_its_errors_are() -> None:
    """Where all attempts cost nothing, so did the call; where one may have, it may have."""
    refused, late, unheard = made("ConnectError"), made("ReadTimeout"), made("Unheard")
    assert of_error(ExceptionGroup("all", [refused, made("RateLimitError")])) is NOTHING
    assert of_error(ExceptionGroup("all", [refused, late])) is MAYBE
    assert of_error(ExceptionGroup("all", [refused, unheard])) is UNKNOWN


@pytest.mark.parametrize("error", [asyncio.CancelledError(), GeneratorExit(), KeyboardInterrupt(), TimeoutError()])
def test_whoever_stops_waiting_may_have_paid(error: BaseException) -> None:
    """A cancelled task and a broken-off stream are booked, unless other layers know that nothing was sent."""
    assert set(paths(error).values()) == {Outcome.BROKEN}
    assert says_nothing(error)


def test_a_trip_cost_nothing() -> None:
    """Hard and soft, by itself and under whatever wraps it."""
    trip = SentinelBudgetExceeded("no")
    wrapped = made("Unheard")
    wrapped.__cause__ = soften(trip)
    for error in (trip, soften(trip), wrapped):
        assert set(paths(error).values()) == {Outcome.FAILED}


def test_a_part_of_an_answer_was_paid() -> None:
    """A stream that tells its response id was answered: a connection error after it is no refused connection."""
    assert outcome_of(None, failed=True, error="APIConnectionError") is Outcome.FAILED
    assert outcome_of(None, failed=True, error="APIConnectionError", response_id="resp_1") is Outcome.BROKEN
    assert outcome_of(None, failed=False, error="") is Outcome.DONE


def test_another_error_under_way_is_not_the_spans() -> None:
    """A span that ends inside an unrelated `except` is judged by what it says, not by that error."""
    assert charge_of(None, failed=True, error="ReadTimeout", raised=made("ConnectError")) is MAYBE
    assert charge_of(None, failed=True, error="AgentError", raised=made("AgentError", status_code=429)) is NOTHING


def test_a_message_that_looks_like_a_traceback_is_none() -> None:
    """Lines of an answer that a validation error quotes name no class of its chain."""
    message = "1 validation error for X\nbody\n  Input should be\n    For more\nConnectError: no, this is the answer"
    _, trace = raised(made("Odd", message), over=made("Unheard"), explicit=True)
    assert of_words("Odd", trace=trace) is UNKNOWN
    assert of_words("Unheard", trace="nothing like a traceback\n") is UNKNOWN
    assert of_words("Unheard", trace=json.dumps({"a": "b"})) is UNKNOWN
