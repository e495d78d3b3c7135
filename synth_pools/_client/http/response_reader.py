"""Results and errors from responses: no I/O, the same for both variants.

The API key is masked in all errors: a service may echo what it received.
"""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Callable
from typing import Any, NamedTuple

from synth_pools._client.config import ClientConfig
from synth_pools._client.http.messages import ExchangeError, ResponseHead
from synth_pools._client.http.request_builder import Call, RequestBuilder
from synth_pools.errors import (
    APIConnectionError,
    APIStatusError,
    ResponseDecodeError,
    SynthPoolsError,
)

# Content types of pages and errors that are answered in place of an event stream.
_NO_EVENTS = ("application/json", "text/html")

# Size below which the standard library is as fast as msgspec.
_LARGE = 8192

# Larger than any page or document of the service, and small enough for the memory.
LARGEST_ANSWER = 256 * 1024 * 1024
# The problem of a response that is an event stream in place of a document.
EVENT_STREAM = "the answer is a stream of events: the service may know no other answer"


class ResponseKind(NamedTuple):
    """Kind of response that a caller reads itself, with the errors for all others.

    Attributes:
        builder: Builder of the requests.
        accepts: Tells whether an answer is of this kind.
        refusal: Returns the error for an answer, already read, of another kind.
        failure: Returns the error for an exchange without an answer.
    """

    builder: RequestBuilder
    accepts: Callable[[ResponseHead], bool]
    refusal: Callable[[Call, ResponseHead], SynthPoolsError]
    failure: Callable[[Call, ExchangeError], APIConnectionError]


class ResponseReader:
    """Reader of the responses to the calls of one configuration."""

    def __init__(self, config: ClientConfig) -> None:
        self._config = config

    def result(self, call: Call, response: ResponseHead) -> dict[str, Any]:
        """Decode the JSON of a response that was read; ``{}`` for an empty body.

        Raises:
            APIStatusError: Its status is an error.
            ResponseDecodeError: It is not JSON, or too large.
        """
        self._check(call, response)
        # Not kept in a variable, which tracebacks show: text that is not JSON may hold anything.
        if not response.content:
            return {}
        try:
            answer: dict[str, Any] = decode_json(response.content)
        except (ValueError, RecursionError):
            # Raised below, without the decoder's exception, which holds the whole body.
            pass
        else:
            return answer
        raise self.decode_error(call, response, "the body is not JSON")

    def content(self, call: Call, response: ResponseHead) -> bytes:
        """Return the bytes of a response that was read.

        Raises:
            APIStatusError: Its status is an error.
            ResponseDecodeError: It is too large.
        """
        self._check(call, response)
        return response.content

    def _check(self, call: Call, response: ResponseHead) -> None:
        if not response.is_success:
            raise self.status_error(call, response)
        if response.problem:
            raise self.decode_error(call, response, response.problem)

    def is_event_stream(self, response: ResponseHead) -> bool:
        """Check that a response may be an event stream: a document would look like an empty one."""
        return response.is_success and _media_type(response) not in _NO_EVENTS

    def no_event_stream(
        self, call: Call, response: ResponseHead
    ) -> APIStatusError | ResponseDecodeError:
        """Return the error for a response, already read, that is not an event stream."""
        if not response.is_success:
            return self.status_error(call, response)
        kind = _media_type(response)
        return self.decode_error(call, response, f"an event stream was expected, not {kind}")

    def connection_error(self, call: Call, error: ExchangeError) -> APIConnectionError:
        """Return the error for a call that got no complete answer."""
        limit = self._config.limit("read")
        return self._connection_error(call, error, limit, "no answer from {origin}")

    def no_stream(self, call: Call, error: ExchangeError) -> APIConnectionError:
        """Return the error for an event stream that did not begin."""
        limit = self._config.stream_idle_timeout
        return self._connection_error(call, error, limit, "no answer from {origin}")

    def stream_error(self, call: Call, error: ExchangeError) -> APIConnectionError:
        """Return the error for an event stream that broke."""
        limit = self._config.stream_idle_timeout
        return self._connection_error(call, error, limit, "the event stream of {origin} broke")

    def content_error(self, call: Call, error: ExchangeError) -> APIConnectionError:
        """Return the error for a download that broke off."""
        limit = self._config.limit("read")
        return self._connection_error(call, error, limit, "the answer of {origin} broke off")

    def deadline_error(self, call: Call, attempt: int) -> APIConnectionError:
        """Return the error for a call that its deadline ended."""
        from synth_pools._client.http.error_mapping import deadline_error  # saves 2 ms

        return deadline_error(
            method=call["method"].upper(),
            url=self._config.base_url + call["url"],
            path=call["url"],
            deadline=self._config.deadline or 0.0,
            attempt=attempt,
        )

    def status_error(self, call: Call, response: ResponseHead) -> APIStatusError:
        """Return the error for a response, already read, with an error status."""
        key = self._config.api_key
        from synth_pools._client.http.error_mapping import status_error  # saves 2 ms

        return status_error(
            method=call["method"].upper(),
            url=key.redact(response.url),
            path=call["url"],
            status_code=response.status_code,
            headers=[(name, key.redact_bytes(value)) for name, value in response.headers.raw],
            content=self._redacted(response.content),
        )

    def _redacted(self, content: bytes) -> bytes:
        """Mask the key in an error's body, also if it is spelled with JSON escapes."""
        key = self._config.api_key
        content = key.redact_bytes(content)
        if b"\\" not in content:
            return content
        try:
            value = json.loads(content)
            masked = key.redact_json(value)
            return content if masked is value else json.dumps(masked).encode()
        except (ValueError, RecursionError):
            return content

    def decode_error(self, call: Call, response: ResponseHead, problem: str) -> ResponseDecodeError:
        """Return the error for a successful answer that cannot be read."""
        from synth_pools._client.http.error_mapping import decode_error  # saves 2 ms

        request_id: str | None = response.headers.get("x-request-id")
        return decode_error(
            problem,
            method=call["method"].upper(),
            path=call["url"],
            status_code=response.status_code,
            request_id=None if request_id is None else self._config.api_key.redact(request_id),
            content=self._config.api_key.redact_bytes(response.content),
        )

    def _connection_error(
        self, call: Call, error: ExchangeError, silence: float, problem: str
    ) -> APIConnectionError:
        from synth_pools._client.http.error_mapping import connection_error  # saves 2 ms

        phase = error.cause.removesuffix("Timeout").lower()
        return connection_error(
            error,
            method=call["method"].upper(),
            url=self._config.base_url + call["url"],
            path=call["url"],
            limit=silence if phase == "read" else self._config.limit(phase),
            problem=problem,
        )


def decode_json(content: bytes) -> Any:
    """Decode JSON as the standard library does.

    If msgspec is installed, it decodes large documents. It reads every document as the standard
    library does, or refuses it (NaN, numbers that are too large for a float, half a surrogate
    pair); after a refusal the standard library decides.

    Raises:
        ValueError: It is not JSON.
        RecursionError: It is nested too deeply.
    """
    decode = fast_decoder() if len(content) >= _LARGE else None
    if decode is not None:
        with contextlib.suppress(Exception):
            return decode(content)
    return json.loads(content)


@functools.cache
def fast_decoder() -> Callable[[bytes], Any] | None:
    try:
        from msgspec.json import decode  # takes 5 ms, and needs the extra
    except ImportError:
        return None
    fast: Callable[[bytes], Any] = decode
    return fast


def is_endless(response: ResponseHead) -> bool:
    """Check that a response is a stream of events, which may have no end."""
    return response.is_success and _media_type(response) == "text/event-stream"


def _media_type(response: ResponseHead) -> str:
    kind: str = response.headers.get("content-type", "")
    return kind.partition(";")[0].strip().lower()
