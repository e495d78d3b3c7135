"""The error tree: plain data with helpful messages."""

from __future__ import annotations

import copy
import inspect
import json
import pickle
from collections.abc import Callable
from functools import partial
from itertools import cycle
from typing import Any

import httpx
import pytest

import synth_pools
from synth_pools import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ClientClosedError,
    ConfigurationError,
    ConflictError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    RequestValidationError,
    ResponseDecodeError,
    ServerError,
    StreamDecodeError,
    SynthPoolsError,
    ValidationFailedError,
)
from synth_pools._client.http.error_mapping import connection_error, decode_error, status_error
from synth_pools._client.http.httpx_clients import failure_of
from synth_pools._client.secret import strip_tracebacks

BY_STATUS: dict[int, type[APIStatusError]] = {
    302: APIStatusError,
    400: BadRequestError,
    401: AuthenticationError,
    402: APIStatusError,
    403: PermissionDeniedError,
    404: NotFoundError,
    405: APIStatusError,
    409: ConflictError,
    413: APIStatusError,
    415: APIStatusError,
    418: APIStatusError,
    422: ValidationFailedError,
    429: RateLimitError,
    499: APIStatusError,
    500: ServerError,
    502: ServerError,
    503: ServerError,
    504: ServerError,
    520: ServerError,
    599: ServerError,
}

FIELDS = [
    {"loc": ["body", "tasks", 0, "task_id"], "msg": "is too long", "type": "maxLength"},
    {"loc": ["body", "name"], "msg": "is missing", "type": "required"},
]
LISTED = "body.tasks.0.task_id: is too long; body.name: is missing"

# (body, message, code, request id)
BODIES: list[tuple[Any, str, str | None, str | None]] = [
    ({"detail": "No such pool"}, "No such pool", None, None),
    ({"detail": {"code": "c", "message": "Words"}}, "Words", "c", None),
    ({"detail": {"reason": 1}}, '{"reason": 1}', None, None),
    ({"detail": FIELDS}, LISTED, None, None),
    ({"detail": ["first", "second"]}, "first; second", None, None),
    ({"detail": [7, {"x": 1}]}, '7; {"x": 1}', None, None),
    (
        {
            "detail": FIELDS,
            "error": {"code": "validation_failed", "message": "Invalid", "request_id": "req_1"},
        },
        LISTED,
        "validation_failed",
        "req_1",
    ),
    (
        {"error": {"code": "x", "message": "Invalid", "details": FIELDS, "request_id": "req_1"}},
        LISTED,
        "x",
        "req_1",
    ),
    (
        {"detail": "Taken", "error": {"code": "pool_exists", "message": "Other words"}},
        "Taken",
        "pool_exists",
        None,
    ),
    ({"error": {"code": "x", "message": "Old envelope"}}, "Old envelope", "x", None),
    ({"error": "a plain word"}, "a plain word", None, None),
    ({"message": "Bare", "code": "bare", "request_id": "r"}, "Bare", "bare", "r"),
    (
        {"detail": None, "error": None, "code": 7},
        '{"detail": null, "error": null, "code": 7}',
        None,
        None,
    ),
    ({"detail": "  "}, '{"detail": " "}', None, None),
    ({"detail": "two\nlines\tand \x1b[31mcolour"}, "two lines and [31mcolour", None, None),
    ({}, "{}", None, None),
    ([], "[]", None, None),
    (["one", "two"], "one; two", None, None),
    ("a JSON string", "a JSON string", None, None),
    (7, "7", None, None),
    (b"", "the answer has no body", None, None),
    (b"upstream down\nsecond line", "upstream down", None, None),
    (b"\n\n  late line  \n", "late line", None, None),
    (b"  \n", "the answer says nothing readable", None, None),
    (
        b"<html><head>\n<title>502 Bad\nGateway</title></head><p>nginx</html>",
        "502 Bad Gateway",
        None,
        None,
    ),
    (b"<!DOCTYPE html><body><H1 class='x'>Gone fishing</H1>", "Gone fishing", None, None),
    (b"<html>\n<body>\n<p>Only text</p>", "Only text", None, None),
    (b"<<<<", "<<<<", None, None),
    (b"\xff\xfe not text", "\ufffd\ufffd not text", None, None),
    (b'{"detail": "cut off', '{"detail": "cut off', None, None),
]


def error_for(
    status: int, body: Any, headers: dict[str, str] | None = None, method: str = "post"
) -> APIStatusError:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return status_error(
        method=method,
        url="http://host/v1/pools?cursor=signed-secret",
        path="/v1/pools",
        status_code=status,
        headers=[(k.encode(), v.encode("latin-1")) for k, v in (headers or {}).items()],
        content=content,
    )


# There are more bodies than statuses: each body is used once, each status at least once.
@pytest.mark.parametrize(
    ("status", "body", "message", "code", "request_id"),
    [(status, *row) for status, row in zip(cycle(BY_STATUS), BODIES, strict=False)],
)
def test_every_status_and_every_body(
    status: int, body: Any, message: str, code: str | None, request_id: str | None
) -> None:
    error = error_for(status, body)
    assert type(error) is BY_STATUS[status]
    assert error.status_code == status
    assert error.message == message
    assert error.code == code
    assert error.request_id == request_id
    assert error.body == (
        None
        if body == b""
        else body.decode("utf-8", "replace")
        if isinstance(body, bytes)
        else body
    )
    assert error.retry_after is None
    assert (error.method, error.path) == ("POST", "/v1/pools")
    text = str(error)
    assert text.startswith(f"POST /v1/pools -> {status}")
    assert message in text
    assert "\n" not in text
    assert "secret" not in text
    assert (f"(request id {request_id})" in text) == (request_id is not None)


def test_the_text_is_one_that_a_person_can_act_on() -> None:
    body = {"detail": "Pool 'x' exists already.", "error": {"code": "pool_exists", "message": "-"}}
    error = error_for(409, body, {"X-Request-ID": "req_7"})
    expected = "POST /v1/pools -> 409 pool_exists: Pool 'x' exists already. (request id req_7)"
    assert str(error) == expected
    assert str(error_for(502, b"")) == "POST /v1/pools -> 502 Bad Gateway: the answer has no body"
    assert str(error_for(520, b"x")) == "POST /v1/pools -> 520: x"


def test_the_header_names_the_request_before_the_body_does() -> None:
    error = error_for(500, {"error": {"request_id": "body"}}, {"x-request-id": "header"})
    assert error.request_id == "header"


def test_a_redirect_says_that_it_is_not_followed_and_hides_the_query() -> None:
    error = error_for(307, b"", {"Location": "https://elsewhere/x?signature=secret"})
    assert error.message == (
        "redirects are not followed, but of GET within one origin, 20 at most "
        "(this one: https://elsewhere/x)"
    )


def test_long_answers_are_shortened_in_the_text_and_whole_in_the_body() -> None:
    long = "word " * 50_000
    for body in ({"detail": long}, long.encode(), {"detail": [{"loc": ["x"], "msg": long}]}):
        error = error_for(500, body)
        assert len(str(error)) < 2000
        assert len(str(error.body)) >= len(long)
    many = error_for(422, {"detail": [{"loc": [str(n)], "msg": "bad"} for n in range(100)]})
    assert many.message.endswith("9: bad; and 90 more")


def test_a_very_deep_answer_does_no_harm() -> None:
    error = error_for(500, b'{"detail":' * 100_000)
    assert error.message.startswith('{"detail":')


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({"Retry-After": "7"}, b"", 7.0),
        ({"Retry-After": " 0.5 "}, b"", 0.5),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, b"", 0.0),
        ({"Retry-After": "soon"}, b"", None),
        ({"Retry-After": "-1"}, b"", None),
        ({"Retry-After": "nan"}, b"", None),
        ({"Retry-After": "1e9"}, b"", None),
        ({"Retry-After": "9" * 400}, b"", None),
        ({}, {"error": {"retry_after_ms": 1500}}, 1.5),
        ({}, {"retry_after_ms": 0}, 0.0),
        ({}, {"error": {"retry_after_ms": "1500"}}, None),
        ({}, {"error": {"retry_after_ms": True}}, None),
        ({}, {"error": {"retry_after_ms": -1}}, None),
        ({"Retry-After": "7"}, {"error": {"retry_after_ms": 1500}}, 7.0),
        ({"Retry-After": "soon"}, {"error": {"retry_after_ms": 1500}}, 1.5),
    ],
)
def test_how_long_to_wait(headers: dict[str, str], body: Any, seconds: float | None) -> None:
    assert error_for(429, body, headers).retry_after == seconds


def test_errors_are_those_that_callers_of_httpx_catch() -> None:
    status = error_for(404, {"detail": "No such pool"}, {"Content-Encoding": "gzip", "X-A": "é"})
    assert isinstance(status, httpx.HTTPStatusError)
    assert status.response.status_code == 404
    assert status.response.json() == {"detail": "No such pool"}
    assert status.response.headers["x-a"] == "é"
    assert status.response.request is status.request
    assert str(status.request.url).startswith("http://host/v1/pools")
    with pytest.raises(httpx.HTTPStatusError):
        status.response.raise_for_status()
    for error in (convert(httpx.ConnectError("x")), convert(httpx.ReadTimeout("x"))):
        assert isinstance(error, httpx.TransportError)
        assert error.request.method == "GET"
    assert isinstance(convert(httpx.ReadTimeout("x")), httpx.TimeoutException)
    assert not isinstance(convert(httpx.ReadError("x")), httpx.TimeoutException)


def convert(error: httpx.RequestError) -> APIConnectionError:
    failure = failure_of(error)
    assert failure is not None
    return connection_error(failure, method="GET", url="http://host:8/v1/x", path="/v1/x", limit=30)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (httpx.ConnectError("refused"), "no answer from http://host:8: ConnectError: refused"),
        (httpx.RemoteProtocolError(""), "no answer from http://host:8: RemoteProtocolError"),
        (httpx.ConnectTimeout(""), "no connection to http://host:8 within 30 s (ConnectTimeout)"),
        (httpx.ReadTimeout(""), "http://host:8 sent nothing for 30 s (ReadTimeout)"),
        (
            httpx.WriteTimeout(""),
            "http://host:8 did not take the request within 30 s (WriteTimeout)",
        ),
        (
            httpx.PoolTimeout(""),
            "all connections of this client stayed in use for 30 s (PoolTimeout)",
        ),
        (httpx.TimeoutException(""), "http://host:8 took longer than 30 s (TimeoutException)"),
    ],
)
def test_a_lost_connection_says_what_happened(error: httpx.RequestError, text: str) -> None:
    converted = convert(error)
    assert str(converted) == f"GET /v1/x -> {text}"
    assert converted.cause == type(error).__name__
    assert isinstance(converted, APITimeoutError) == isinstance(error, httpx.TimeoutException)
    assert isinstance(converted, type(error))
    assert type(converted).__name__ == ("APITimeoutError" if "(" in text else "APIConnectionError")


@pytest.mark.parametrize(
    ("error", "sent"),
    [
        (httpx.ConnectError("x"), False),
        (httpx.ConnectTimeout("x"), False),
        (httpx.PoolTimeout("x"), False),
        (httpx.ProxyError("x"), False),
        (httpx.WriteError("x"), True),
        (httpx.WriteTimeout("x"), True),
        (httpx.ReadError("x"), True),
        (httpx.ReadTimeout("x"), True),
        (httpx.RemoteProtocolError("x"), True),
        (httpx.DecodingError("x"), True),
    ],
)
def test_a_lost_connection_says_whether_anything_was_sent(
    error: httpx.RequestError, sent: bool
) -> None:
    assert convert(error).sent is sent


def test_the_operating_system_is_quoted_where_it_says_more() -> None:
    error = httpx.ConnectError("All attempts failed")
    middle = OSError("All attempts failed")
    middle.__cause__ = ExceptionGroup("two", [ConnectionRefusedError(111, "refused"), OSError()])
    error.__cause__ = middle
    assert str(convert(error)).endswith("ConnectError: All attempts failed: [Errno 111] refused")


def test_exceptions_are_cut_off_from_their_frames() -> None:
    def fail(text: str) -> BaseException:
        try:
            raise ValueError(text)
        except ValueError as error:
            return error

    outer, cause, context, member = (fail(text) for text in ("outer", "cause", "context", "member"))
    outer.__cause__ = cause
    cause.__context__ = context
    context.__context__ = BaseExceptionGroup("group", [member])
    context.__cause__ = outer
    assert strip_tracebacks(outer) is outer
    assert all(exception.__traceback__ is None for exception in (outer, cause, context, member))


REQUEST = {"method": "GET", "url": "http://host/v1/x", "path": "/v1/x", "cause": "ReadError"}

ERRORS: dict[str, Callable[[], SynthPoolsError]] = {
    "SynthPoolsError": lambda: SynthPoolsError("words"),
    "ConfigurationError": lambda: ConfigurationError("words"),
    "RequestValidationError": lambda: RequestValidationError("words"),
    "ClientClosedError": lambda: ClientClosedError("words"),
    "APIConnectionError": lambda: convert(httpx.ConnectError("words")),
    "APITimeoutError": lambda: convert(httpx.ReadTimeout("words")),
    "ResponseDecodeError": lambda: decode_error(
        "the body is not JSON",
        method="GET",
        path="/v1/x",
        status_code=200,
        request_id="req_1",
        content=b"<html>" + b"x" * 5000,
    ),
    "StreamDecodeError": lambda: StreamDecodeError("words", excerpt="data"),
    "DecodeError": lambda: synth_pools.DecodeError("words", excerpt="data"),
    "StreamBrokenError": lambda: synth_pools.StreamBrokenError(
        "words", cursor="evt_1", events=1, sent=False, **REQUEST
    ),
    "StreamTimeoutError": lambda: synth_pools.StreamTimeoutError(
        "words", cursor=None, events=0, **REQUEST
    ),
    "WaitTimeoutError": lambda: synth_pools.WaitTimeoutError("words", last={"status": "queued"}),
    "RolloutFailedError": lambda: synth_pools.RolloutFailedError(
        "words", code="late", message="words", status="failed", rollout_id="r"
    ),
    "PoolFailedError": lambda: synth_pools.PoolFailedError("words", pool={"status": "failed"}),
    "JournalError": lambda: synth_pools.JournalError("words", path="run.jsonl"),
    "RunFileError": lambda: synth_pools.RunFileError("words", path="run.jsonl"),
    "ComparisonError": lambda: synth_pools.ComparisonError("words"),
    "ContentMismatchError": partial(
        synth_pools.ContentMismatchError, "words", expected="aa", actual="bb"
    ),
    "NotRepeatedError": lambda: synth_pools.NotRepeatedError("words"),
    "BudgetReachedError": partial(synth_pools.BudgetReachedError, "x", index=3, reason=None),
    "FleetStoppedError": lambda: synth_pools.FleetStoppedError("words", index=3, reason=None),
    **{
        kind.__name__: partial(
            error_for, status, BODIES[6][0], {"Retry-After": "3", "x-request-id": "req_2"}
        )
        for status, kind in BY_STATUS.items()
    },
}


def test_the_table_below_holds_every_public_error() -> None:
    public = {
        name
        for name in synth_pools.__all__
        if inspect.isclass(kind := getattr(synth_pools, name)) and issubclass(kind, Exception)
    }
    assert public == set(ERRORS)


def pickled(protocol: int, error: SynthPoolsError) -> Any:
    return pickle.loads(pickle.dumps(error, protocol))


COPIES: dict[str, Callable[[SynthPoolsError], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{
        f"pickle{protocol}": partial(pickled, protocol)
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    },
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_pickle_and_copy(name: str) -> None:
    for way, copied in COPIES.items():
        error = ERRORS[name]()
        error.add_note("seen at night")
        again = copied(error)
        assert type(again) is type(error), way
        assert str(again) == str(error), way
        assert again.args == error.args, way
        assert again.__notes__ == ["seen at night"], way
        before, after = (
            {
                key: value
                for key, value in vars(exception).items()
                if key not in ("response", "_request")
            }
            for exception in (error, again)
        )
        assert after == before, way
        if isinstance(error, APIStatusError):
            assert isinstance(again, APIStatusError)
            assert again.response.content == error.response.content, way
            assert again.response.headers == error.response.headers, way
            assert str(again.request.url) == str(error.request.url), way


def test_an_unreadable_body_is_shown_by_its_beginning() -> None:
    error = ERRORS["ResponseDecodeError"]()
    assert isinstance(error, ResponseDecodeError)
    assert str(error).startswith("GET /v1/x -> 200: the body is not JSON; it begins with '<html>x")
    assert str(error).endswith("(request id req_1)")
    assert len(error.excerpt) == 200
    assert isinstance(error, json.JSONDecodeError)
    assert (error.msg, error.doc, error.pos) == (str(error), error.excerpt, 0)
    assert isinstance(ERRORS["StreamDecodeError"](), json.JSONDecodeError)
    assert not isinstance(ERRORS["DecodeError"](), json.JSONDecodeError)


def test_errors_are_those_of_python_and_httpx_too() -> None:
    assert isinstance(ERRORS["StreamBrokenError"](), httpx.ReadError)
    for name in ("ConfigurationError", "RequestValidationError", "ResponseDecodeError"):
        assert isinstance(ERRORS[name](), ValueError)
    assert isinstance(ERRORS["ClientClosedError"](), RuntimeError)
    assert all(isinstance(make(), SynthPoolsError) for make in ERRORS.values())
