"""Dispatch of requests: checks, the operation's handler, and an answer in every case."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Callable, Iterator

from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocketClose

from synth_pools.backend.api.disconnects import ClientDisconnectedError
from synth_pools.backend.api.handlers import HANDLERS, require_complete
from synth_pools.backend.api.live_page import LivePage
from synth_pools.backend.api.metrics import CONTENT_TYPE, exposition
from synth_pools.backend.api.pagination import preference_headers
from synth_pools.backend.api.requests import (
    JSON,
    Request,
    base_url_of,
    check_head,
    check_host,
    headers_of,
    parse_body,
    read_body,
    read_other_body,
)
from synth_pools.backend.api.responses import (
    PIECE_BYTES,
    BytesResponse,
    EventStreamResponse,
    JSONResponse,
    TextResponse,
    in_pieces,
    json_response,
    send_json,
    send_large,
    send_stream,
)
from synth_pools.backend.api.router import Router
from synth_pools.backend.domain import clock, json_text
from synth_pools.backend.domain.errors import (
    ApiError,
    insufficient_scope,
    internal_error,
    method_not_allowed,
)
from synth_pools.backend.domain.openapi import Body, Operation
from synth_pools.backend.domain.state_changes import ORIGIN
from synth_pools.backend.domain.validation import Contract, ResponseDepartsError
from synth_pools.backend.metrics.recorder import NO_OPERATION
from synth_pools.backend.resources.byte_budget import Reservation
from synth_pools.backend.server.protocol import ABORT, KEY_SHOWN
from synth_pools.backend.services import Services
from synth_pools.backend.storage.contents.store import ContentGoneError, ContentsUnavailableError
from synth_pools.backend.storage.events import sent_messages
from synth_pools.ui.site import is_page_path

_log = logging.getLogger(__name__)

_READING = ("GET", "HEAD")


class Dispatcher:
    """ASGI endpoint that never fails: it answers an exception of a handler with 500."""

    def __init__(self, contract: Contract) -> None:
        require_complete(contract.operations)
        self._router = Router(contract.operations.values())
        # None while the application does not run.
        self.services: Services | None = None
        self.page: LivePage | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await WebSocketClose()(scope, receive, send)
            return
        assert self.services is not None and self.page is not None  # noqa: S101, PT018 - servers call us after the start
        await _Exchange(self, self.services, self.page, scope, receive, send).respond()

    def route(self, scope: Scope) -> tuple[Operation, dict[str, str]]:
        raw_path = scope.get("raw_path") or scope["path"].encode("utf-8")
        return self._router.find(scope["method"], raw_path)


class _Exchange:
    """One request and its response."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        services: Services,
        page: LivePage,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        self._dispatcher = dispatcher
        self._services = services
        self._page = page
        self._contract = services.contract
        self._scope = scope
        self._receive = receive
        self._send = send
        self._headers = headers_of(scope)
        self._operation: Operation | None = None
        self._id = clock.new_id("req")
        self._begun = clock.monotonic()
        # Name under which the request is counted if it matches no operation.
        self._name = NO_OPERATION
        # Name of the key: "" for a key without a name, and before it is checked.
        self._caller = ""

    async def respond(self) -> None:
        # Set in the task of this request only.
        ORIGIN.set({"request_id": self._id})
        response: JSONResponse | TextResponse | BytesResponse | EventStreamResponse | ApiError
        try:
            response = await self._handle()
        except ApiError as error:
            # Drop the frames: they keep the documents of the request in memory.
            response = error.with_traceback(None)
        except ClientDisconnectedError:
            return
        except Exception:  # noqa: BLE001 - logged; the client learns only that it was our fault
            self._log_failure()
            response = internal_error()
        if isinstance(response, BytesResponse):
            await self._send_bytes(response)
            return
        if isinstance(response, EventStreamResponse):
            try:
                with self._services.streams.place(response.subject):
                    await self._send_events(response)
                return
            except ApiError as error:
                response = error
        await self._send_json(response)

    async def _handle(self) -> JSONResponse | TextResponse | BytesResponse | EventStreamResponse:
        path, method = self._scope["path"], self._scope["method"]
        check_head(self._scope, self._services.settings.max_header_bytes)
        check_host(self._scope, self._headers, self._services.settings.allowed_hosts)
        if path == "/health" and method in _READING:
            self._name = "health"
            await self._services.database.check()
            works = self._services.background.running.items()
            if crashed := [name for name, is_running in works if not is_running]:
                return json_response({"status": "degraded", "not_running": crashed})
            return json_response({"status": "ok"})
        if path in ("/v1", "/metrics") or path.startswith("/v1/"):
            self._require_key()
        elif is_page_path(path):
            self._name = "page"
            return await self._page.respond(self._scope, self._headers, self._receive)
        if path == "/metrics":
            self._name = "metrics"
            if method not in _READING:
                raise method_not_allowed(method, _READING)
            self._require_scope("metrics")
            return TextResponse(await exposition(self._services, self._receive), CONTENT_TYPE)
        operation, path_values = self._dispatcher.route(self._scope)
        self._operation = operation
        self._require_scope(operation.scope)
        parameters = self._contract.parameters(
            operation, path_values, self._scope["query_string"], self._headers
        )
        request = Request(
            services=self._services,
            operation=operation,
            parameters=parameters,
            body=None,
            raw_body=b"",
            base_url=base_url_of(self._scope, self._headers),
            receive=self._receive,
            query=self._scope["query_string"],
            key_name=self._caller,
        )
        try:
            if operation.body is not None:
                await self._read_body(request, operation.body)
            response = await HANDLERS[operation.id](request)
            documented = operation.responses.get("200")
            if documented and "vary" in documented.headers and isinstance(response, JSONResponse):
                response.headers.update(preference_headers(request))
            return response
        finally:
            request.forget_body()

    def _key_name(self) -> str | None:
        """Return the name of the key of this request; None without one that is valid now."""
        if "authorization" not in self._headers:
            return self._page.key_name(self._headers)
        scheme, _, key = self._headers["authorization"].partition(" ")
        name = self._services.keys.name_of(key.strip().encode("latin-1"))
        return name if scheme.lower() == "bearer" else None

    def _require_key(self) -> None:
        key_name = self._key_name()
        if key_name is None:
            raise ApiError(
                401,
                "unauthorized",
                "The API key is missing, wrong or expired: send 'Authorization: Bearer <key>'.",
                headers={"www-authenticate": "Bearer"},
            )
        self._scope.get("extensions", {}).get(KEY_SHOWN, _nothing)()
        if key_name:
            self._caller = key_name
            ORIGIN.set({"request_id": self._id, "key": key_name})

    def _require_scope(self, scope: str) -> None:
        if not self._services.keys.allows(self._caller, scope):
            raise insufficient_scope(self._caller, scope)

    async def _read_body(self, request: Request, described: Body) -> None:
        settings, room = self._services.settings, self._services.parsing_room
        raw, request.reserved = await read_body(self._receive, self._headers, settings, room)
        request.raw_body = raw
        operation = request.operation
        if described.media_type != JSON and (raw or "content-type" in self._headers):
            # An empty file, or a form without fields, is a body too.
            body = read_other_body(raw, self._headers, described)
            if body is not None:
                self._contract.check_body(operation, body)
            request.body = body
        elif raw:
            is_patch = operation.method == "PATCH"
            workers = self._services.workers
            body = await parse_body(raw, self._headers, settings, workers, is_patch=is_patch)
            if len(raw) > json_text.LARGE:
                await asyncio.to_thread(self._contract.check_body, operation, body)
            else:
                self._contract.check_body(operation, body)
            request.body = body
        elif described.required:
            self._contract.refuse_missing_body()

    def _count(self, status: int) -> None:
        name = self._name if self._operation is None else self._operation.id
        self._services.recorder.answered(
            name, status, clock.monotonic() - self._begun, self._caller
        )

    async def _send_json(self, response: JSONResponse | TextResponse | ApiError) -> None:
        status, headers, body = self._serialize(response)
        if self._services.settings.validate_responses and self._operation is not None:
            try:
                self._contract.check_response(self._operation, status, headers, body)
            except ResponseDepartsError:
                self._log_failure()
                status, headers, body = self._serialize(internal_error())
        reserved = response.reserved if isinstance(response, JSONResponse) else None
        if reserved is None and len(body) > PIECE_BYTES:
            try:
                reserved = await self._services.room_to_send(len(body))
            except ApiError as error:
                status, headers, body = self._serialize(error)
        self._count(status)
        if reserved is None:
            await send_json(self._send, status, headers, body)
            return
        reserved.shrink(len(body))
        with self._sending(reserved) as on_taken:
            await send_large(self._send, status, headers, body, on_taken)

    @contextlib.contextmanager
    def _sending(self, reserved: Reservation | None) -> Iterator[Callable[[], None]]:
        """Disconnect a stalled client if others wait for room; release the room at the end.

        Yields:
            A callback, to be called whenever the client has taken a piece.
        """
        if reserved is None:
            yield _nothing
            return
        abort = self._scope.get("extensions", {}).get(ABORT, _nothing)
        try:
            with self._services.sending_room.sending(abort) as sending:
                yield sending.move
        finally:
            reserved.release()

    def _serialize(
        self, response: JSONResponse | TextResponse | ApiError
    ) -> tuple[int, dict[str, str], bytes]:
        headers = {
            "content-type": "application/json",
            "x-request-id": self._id,
            # Browsers must not show text of a container or a client as a page.
            "x-content-type-options": "nosniff",
        }
        if isinstance(response, TextResponse):
            return (
                response.status,
                {**headers, "content-type": response.content_type, **response.headers},
                response.body,
            )
        if isinstance(response, JSONResponse):
            return response.status, {**headers, **response.headers}, response.body
        document = json_text.dumps(response.document(self._id)).encode("ascii")
        return response.status, {**headers, **response.headers}, document

    async def _send_bytes(self, response: BytesResponse) -> None:
        headers = {
            "x-request-id": self._id,
            "x-content-type-options": "nosniff",
            **response.headers,
        }
        self._count(response.status)
        try:
            if self._services.settings.validate_responses and self._operation is not None:
                self._contract.check_head(self._operation, response.status, headers)
            chunks = self._in_its_room(response.chunks, response.reserved)
            await send_stream(self._receive, self._send, headers, chunks, response.status)
        except (ClientDisconnectedError, ContentGoneError, ContentsUnavailableError):
            # The client left, or the content or its storage failed during the sending. The response
            # breaks off; the next request reports why.
            pass
        except Exception:  # noqa: BLE001 - too late for a 500
            self._log_failure()

    async def _send_events(self, response: EventStreamResponse) -> None:
        self._count(200)
        headers = {
            "content-type": "text/event-stream",
            "cache-control": "no-store",
            # nginx would collect events until its buffer is full.
            "x-accel-buffering": "no",
            "x-request-id": self._id,
        }
        try:
            pieces = response.pieces
            if self._services.settings.validate_responses and self._operation is not None:
                pieces = self._checked(self._operation, pieces)
            await send_stream(self._receive, self._send, headers, self._each_in_room(pieces))
        except ClientDisconnectedError:
            pass
        except Exception:  # noqa: BLE001 - too late for a 500: the response breaks off instead
            self._log_failure()

    async def _in_its_room(
        self, chunks: AsyncGenerator[bytes, None], reserved: Reservation | None
    ) -> AsyncGenerator[bytes, None]:
        """Hold the room of a body until the client has taken its last piece."""
        with self._sending(reserved) as on_taken:
            async with contextlib.aclosing(chunks):
                async for chunk in chunks:
                    for piece in in_pieces(chunk):
                        yield piece
                        on_taken()

    async def _each_in_room(
        self, chunks: AsyncGenerator[bytes, None]
    ) -> AsyncGenerator[bytes, None]:
        """Reserve room for each large chunk of a valid key until the client has taken it."""
        async with contextlib.aclosing(chunks):
            async for chunk in chunks:
                key_name = self._key_name()
                if key_name is None or (
                    self._operation is not None
                    and not self._services.keys.allows(key_name, self._operation.scope)
                ):
                    # The key was removed, has less scope or an end, or the session is over.
                    return
                reserved = None
                if len(chunk) > PIECE_BYTES:
                    try:
                        reserved = await self._services.room_to_send(len(chunk))
                    except ApiError:
                        # The stream ends early; the client may resume it after its last event.
                        return
                with self._sending(reserved) as on_taken:
                    for piece in in_pieces(chunk):
                        yield piece
                        on_taken()

    async def _checked(
        self, operation: Operation, pieces: AsyncGenerator[bytes, None]
    ) -> AsyncGenerator[bytes, None]:
        async with contextlib.aclosing(pieces):
            async for piece in pieces:
                for message in sent_messages(piece):
                    self._contract.check_event(operation, message)
                yield piece

    def _log_failure(self) -> None:
        # The log has no paths or bodies: ids and contents of requests belong to the caller.
        subject = "a request" if self._operation is None else self._operation.id
        _log.exception("%s failed (request %s)", subject, self._id)


def _nothing() -> None:
    """Do nothing: no callback is needed, or this server cannot disconnect a client."""
