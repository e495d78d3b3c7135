"""Transport of calls: sends the generated builders' requests, returns the service's own JSON."""

from __future__ import annotations

import dataclasses
import logging
import random
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from synth_pools._client._async.connections import AsyncConnections, read_whole
from synth_pools._client.config import ClientConfig
from synth_pools._client.http import URL, InvalidURL
from synth_pools._client.http.async_.engine import (
    AsyncEngine,
    AsyncHTTPClient,
    AsyncIncomingResponse,
)
from synth_pools._client.http.messages import ExchangeError, OutgoingRequest, ResponseHead
from synth_pools._client.http.request_builder import Call, RequestBuilder, redirected
from synth_pools._client.http.response_reader import ResponseKind, ResponseReader
from synth_pools._client.runtime.async_.io import AsyncFunction, call_within, call_within_in_thread
from synth_pools._client.secret import strip_tracebacks
from synth_pools.errors import (
    APIConnectionError,
    APIStatusError,
    ClientClosedError,
    ConfigurationError,
    SynthPoolsError,
)
from synth_pools_api.operations import OPERATIONS, Operation, OperationId

if TYPE_CHECKING:
    from synth_pools._client.instrumentation.observer import RequestObserver

T = TypeVar("T")
P = ParamSpec("P")

_LOG = logging.getLogger("synth_pools")
_KEY_HEADER = "Idempotency-Key"
# Deadline of a second call if the first one used up the common deadline.
_LEAST_SECONDS = 0.001
# The limit of httpx.
_MOST_REDIRECTS = 20


class AsyncTransport:
    """Transport that repeats calls if that is safe; its views share its connections.

    Attributes:
        clock: Returns the seconds of a monotonic clock.
        sleep: Waits a number of seconds.
        random: Returns numbers of [0, 1).
    """

    def __init__(
        self,
        config: ClientConfig,
        http_client: AsyncHTTPClient | None = None,
        *,
        connections: AsyncConnections | None = None,
    ) -> None:
        # First, since tracebacks also show transports whose creation failed.
        self._config = config
        problem = ""
        try:
            URL(config.base_url)
        except InvalidURL as error:
            problem = str(error)
        if problem:
            raise ConfigurationError(f"the base URL cannot be used: {problem}")
        self._connections = connections or AsyncConnections(config.base_url, http_client)
        self._reader = reader = ResponseReader(config)
        self._calls = RequestBuilder(config, accept="application/json")
        streams = RequestBuilder(
            config, accept="text/event-stream", read_timeout=config.stream_idle_timeout
        )
        self._event_stream = ResponseKind(
            streams, reader.is_event_stream, reader.no_event_stream, reader.no_stream
        )
        self.clock: Callable[[], float] = time.monotonic
        self.sleep: AsyncFunction[[float], None] = self._connections.sleep
        # The program may have seeded the random module for its own use.
        self.random: Callable[[], float] = random.SystemRandom().random

    def with_config(self, config: ClientConfig) -> AsyncTransport:
        """Return a view with another configuration, on the same connections."""
        view = AsyncTransport(config, connections=self._connections)
        view.clock, view.sleep, view.random = self.clock, self.sleep, self.random
        return view

    @property
    def config(self) -> ClientConfig:
        return self._config

    @property
    def reader(self) -> ResponseReader:
        """The reader of responses."""
        return self._reader

    @property
    def most_calls(self) -> int:
        """Most calls at a time for which there are connections."""
        return self._connections.most_calls

    @property
    def observer(self) -> RequestObserver:
        """The hooks and the log, to report attempts to."""
        # Imported on first use: it takes 1 ms; only hooks, retries and a debug log need it.
        from synth_pools._client.instrumentation.observer import RequestObserver

        return RequestObserver(self._config)

    @property
    def is_closed(self) -> bool:
        return self._connections.are_closed

    def __repr__(self) -> str:
        connections = getattr(self, "_connections", None)
        closed = connections is not None and connections.are_closed
        return f"{self._config.base_url}{' (closed)' if closed else ''}"

    def check_open(self) -> None:
        """Raise `ClientClosedError` if the client is closed."""
        self._connections.check_open()

    def check_concurrency(self) -> None:
        """Raise `ConfigurationError` if it cannot send for several workers at a time."""
        self._connections.check_concurrency()

    async def aclose(self) -> None:
        """Close the connections; a caller's own HTTP client stays open. Can be repeated."""
        await self._connections.aclose()

    async def request(self, operation: OperationId, call: Call) -> dict[str, Any]:
        """Make a call, repeat it if that is safe and allowed, and return its JSON.

        Raises:
            APIStatusError: The service answered with an error.
            APIConnectionError: There was no complete answer.
            ResponseDecodeError: The answer is not JSON.
            ClientClosedError: The client is closed, or was closed during the call.
            RequestValidationError: The body or the URL cannot be sent.
        """
        return await self._request(operation, call, self._calls, self._reader.result)

    async def after(self, operation: OperationId, call: Call) -> AsyncTransport:
        """Make a call, and return a view with the remaining time as its deadline.

        Raises:
            SynthPoolsError: See `request`.
        """
        give_up_at = self._give_up_at()
        await self.request(operation, call)
        return self._until(give_up_at, self._config.max_retries)

    async def content(self, operation: OperationId, call: Call, *, accept: str = "*/*") -> bytes:
        """Make a call as `request` does, and return its bytes."""
        config = self._config
        builder = RequestBuilder(config, accept=accept)
        return await self._request(operation, call, builder, self._reader.content)

    async def _request(
        self,
        operation: OperationId,
        call: Call,
        builder: RequestBuilder,
        read: Callable[[Call, ResponseHead], T],
    ) -> T:
        details = OPERATIONS[operation]
        if details.retry == "with-key":
            headers = call.setdefault("headers", {})
            if _KEY_HEADER not in headers:
                # Imported on first use: it takes 4 ms, and calls that only read do not need it.
                import uuid

                headers[_KEY_HEADER] = self._config.idempotency_key or str(uuid.uuid4())
        # Trace only in a program that has imported OpenTelemetry itself.
        if "opentelemetry.trace" not in sys.modules:
            return await self._repeat(details, call, builder, read)
        from synth_pools._client.instrumentation.tracing import span  # saves 1 ms

        with span(operation, details.method, details.path, self._config.base_url):
            return await self._repeat(details, call, builder, read)

    async def open_stream(
        self, operation: OperationId, call: Call, *, attempt: int = 1
    ) -> AsyncIncomingResponse:
        """Open an event stream, in one attempt. The caller closes the response.

        Raises:
            APIStatusError: The service answered with an error.
            APIConnectionError: There was no answer.
            ResponseDecodeError: The answer is not an event stream.
            ClientClosedError: The client is closed.
        """
        return await self.open(operation, call, self._event_stream, attempt=attempt)

    async def open(
        self,
        operation: OperationId,
        call: Call,
        kind: ResponseKind,
        *,
        attempt: int,
        longest: float | None = None,
    ) -> AsyncIncomingResponse:
        """Open a response of any length, in one attempt. The caller closes the response.

        Args:
            operation: The operation.
            call: The call.
            kind: The accepted kind of response.
            attempt: Number of the attempt, for the observer.
            longest: Seconds after which the caller stops waiting; None for no limit.

        Raises:
            APIStatusError, APIConnectionError, ClientClosedError: As `open_stream` does.
        """
        engine = await self._connections.engine(streams=True)
        request = kind.builder.build(call, None, longest=self._longest(longest))
        observer = self.observer if self._is_observed() else None
        if observer is not None:
            observer.sending(operation, call, attempt, engine.headers_of(request))
        started = self.clock()
        response: AsyncIncomingResponse | None = None
        failure: SynthPoolsError | None = None
        try:
            response = await self._send(engine, request, call, kind)
            if not kind.accepts(response):
                await self._refuse(call, response, kind)
        except SynthPoolsError as error:
            failure = error
        if observer is not None:
            seconds = self.clock() - started
            observer.ended(operation, call, attempt, seconds, response, failure)
        if failure is not None or response is None:
            raise failure or AssertionError
        return response

    async def call_within(
        self, seconds: float | None, call: AsyncFunction[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Make a call over these connections; raise `TimeoutError` after ``seconds``."""
        within = call_within if self._connections.keeps_limits else call_within_in_thread
        return await within(seconds, call, *args, **kwargs)

    def stream_error(
        self, call: Call, error: ExchangeError
    ) -> APIConnectionError | ClientClosedError:
        """Return the error of a broken stream, to raise outside of the ``except`` block."""
        if self.is_closed:
            return ClientClosedError("the client was closed while its event stream was read")
        return self._reader.stream_error(call, error)

    def retry_wait(
        self,
        operation: OperationId,
        error: SynthPoolsError,
        attempt: int,
        *,
        call: Call | None = None,
        remaining: float | None = None,
    ) -> float | None:
        """Return the seconds to wait before ``operation`` is repeated; None if it must not be.

        Args:
            operation: The operation.
            error: Error of the last attempt.
            attempt: Number of attempts that have failed in a row.
            call: The call; its headers and body decide if some operations may be repeated.
            remaining: Seconds that remain; None for no limit.
        """
        if not isinstance(error, APIConnectionError | APIStatusError):
            return None
        # Imported on first use: it takes 1 ms, and only failed calls need it.
        from synth_pools._client.http import retry

        details = OPERATIONS[operation]
        call = call or {}
        body = call.get("json") or {}
        return retry.decide(
            retry.outcome_of(error),
            repeatable=retry.is_repeatable(
                details.retry,
                has_key=_KEY_HEADER in call.get("headers", {}),
                has_id=any(body.get(key) is not None for key in details.id_keys),
            ),
            attempt=attempt,
            max_retries=self._config.max_retries,
            random=self.random,
            remaining=remaining,
        )

    async def _repeat(
        self,
        details: Operation,
        call: Call,
        builder: RequestBuilder,
        read: Callable[[Call, ResponseHead], T],
    ) -> T:
        content = builder.content(call)
        give_up_at = self._give_up_at()
        number = 0
        # Error of the last attempt that may have had an effect.
        lost: SynthPoolsError | None = None
        while True:
            number += 1
            keeps_keys: bool | None = True
            if lost is not None and details.retry == "with-key":
                from synth_pools._client._async.attempts import keeps_keys as ask  # saves 1 ms

                keeps_keys = await ask(self._until(give_up_at, max_retries=0).request)
            try:
                if lost is not None and not keeps_keys:
                    raise lost
                return await self._attempt(
                    details, call, builder, content, read, number, give_up_at
                )
            except SynthPoolsError as error:
                remaining = self._remaining(give_up_at)
                wait = self.retry_wait(details.id, error, number, call=call, remaining=remaining)
                from synth_pools._client.http import retry  # loaded by `retry_wait`

                if wait is None or keeps_keys is False:
                    if lost is not None:
                        retry.note_lost_answer(error, details.method, is_final=keeps_keys is False)
                    lost = None
                    raise
                if not retry.outcome_of(error).changed_nothing:
                    # A traceback would refer to this frame.
                    lost = error.with_traceback(None)
                self.observer.retrying(call, error, number, wait, self._config.max_retries)
            await self.sleep(wait)

    async def _attempt(
        self,
        details: Operation,
        call: Call,
        builder: RequestBuilder,
        content: bytes | None,
        read: Callable[[Call, ResponseHead], T],
        attempt: int,
        give_up_at: float | None,
    ) -> T:
        engine = self._connections.ready() or await self._connections.engine()
        # Read after opening the engine, which takes time for imports once.
        remaining = self._remaining(give_up_at)
        request = builder.build(call, content, longest=self._longest(remaining))
        observer = self.observer if self._is_observed() else None
        if observer is not None:
            observer.sending(details.id, call, attempt, engine.headers_of(request))
        started = self.clock()
        response: AsyncIncomingResponse | None = None
        failure: SynthPoolsError | None = None
        result: T | None = None
        try:
            if remaining is None:
                response = await self._send(engine, request, call)
            else:
                response = await self.call_within(remaining, self._send, engine, request, call)
            result = read(call, response)
        except TimeoutError:
            failure = self._reader.deadline_error(call, attempt)
        except SynthPoolsError as error:
            failure = error
        if observer is not None:
            seconds = self.clock() - started
            observer.ended(details.id, call, attempt, seconds, response, failure)
        # Raised outside of the handler, so that it does not refer to the original exception.
        if failure is not None:
            raise failure
        return cast("T", result)

    def _until(self, give_up_at: float | None, max_retries: int) -> AsyncTransport:
        """Return a view with the remaining time as its deadline."""
        remaining = self._remaining(give_up_at)
        deadline = None if remaining is None else max(_LEAST_SECONDS, remaining)
        config = dataclasses.replace(self._config, deadline=deadline, max_retries=max_retries)
        return self.with_config(config)

    def _give_up_at(self) -> float | None:
        deadline = self._config.deadline
        return None if deadline is None else self.clock() + deadline

    def _is_observed(self) -> bool:
        config = self._config
        has_hooks = config.on_request is not None or config.on_response is not None
        return has_hooks or _LOG.isEnabledFor(logging.DEBUG)

    def _longest(self, seconds: float | None) -> float | None:
        """Return the limit for the waits of one request; None for those of the configuration."""
        # A wait that ends early would end a shared connection for all that share it.
        return None if self._connections.is_multiplexed else seconds

    def _remaining(self, give_up_at: float | None) -> float | None:
        return None if give_up_at is None else give_up_at - self.clock()

    async def _send(
        self,
        engine: AsyncEngine,
        request: OutgoingRequest,
        call: Call,
        kind: ResponseKind | None = None,
    ) -> AsyncIncomingResponse:
        failure: APIConnectionError | ClientClosedError
        try:
            response = await engine.send(request, self._config.api_key)
            redirects = 0
            while 300 < response.status_code < 400 and redirects < _MOST_REDIRECTS:
                target = redirected(request, response)
                if target is None:
                    break
                request, redirects = target, redirects + 1
                await read_whole(response)
                response = await engine.send(request, self._config.api_key)
            if kind is None:
                await read_whole(response)
            return response
        except ExchangeError as error:
            failure = (self._reader.connection_error if kind is None else kind.failure)(call, error)
        except BaseException as error:
            # A cancellation, an interrupt, or another thread that closes the client.
            if not (isinstance(error, Exception) and (self.is_closed or engine.is_closed)):
                strip_tracebacks(error)
                raise
            failure = ClientClosedError("the client was closed")
        if self.is_closed:
            raise ClientClosedError("the client was closed")
        raise failure

    async def _refuse(
        self, call: Call, response: AsyncIncomingResponse, kind: ResponseKind
    ) -> None:
        """Read and close a response that is not accepted, and raise its error."""
        failure: APIConnectionError | None = None
        try:
            await read_whole(response)
        except ExchangeError as error:
            failure = kind.failure(call, error)
        raise failure or kind.refusal(call, response)
