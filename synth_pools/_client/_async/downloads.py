"""Downloads of content, resumed with further requests if a connection breaks."""

from __future__ import annotations

import os
from pathlib import Path

from synth_pools._client._async.attempts import AsyncAttempts
from synth_pools._client._async.transport import AsyncTransport
from synth_pools._client.arguments import check_callback
from synth_pools._client.http.content import (
    Head,
    MemorySink,
    OnProgress,
    PartFile,
    Sink,
    read_head,
    target_file,
)
from synth_pools._client.http.messages import ExchangeError, ResponseHead
from synth_pools._client.http.request_builder import Call, RequestBuilder
from synth_pools._client.http.response_reader import ResponseKind
from synth_pools._client.runtime.async_.io import in_thread
from synth_pools.errors import ClientClosedError, ContentMismatchError, SynthPoolsError
from synth_pools_api.operations import OperationId

_RANGE_NOT_SATISFIABLE = 416


async def read_content(
    transport: AsyncTransport,
    operation: OperationId,
    call: Call,
    first: tuple[OperationId, Call] | None = None,
) -> bytes:
    """Download content into memory, after a `first` call if one is given."""
    if first is not None:
        transport = await transport.after(*first)
    memory = MemorySink()
    await _Download(transport, operation, call, memory, None).run()
    return memory.content()


async def save_content(
    transport: AsyncTransport,
    operation: OperationId,
    call: Call,
    to: str | os.PathLike[str],
    name: str,
    on_progress: OnProgress | None,
    first: tuple[OperationId, Call] | None = None,
) -> Path:
    """Download content into a file, which gets its final name when it is complete.

    Nothing is written before a `first` call, if one is given, has succeeded.
    """
    check_callback(on_progress, "on_progress")
    target = target_file(to, name)
    transport.check_open()
    if first is not None:
        transport = await transport.after(*first)
    file = PartFile(target)
    try:
        await _Download(transport, operation, call, file, on_progress).run()
        await in_thread(file.keep)
    finally:
        file.drop()
    return target


class _Download:
    """Download that resumes after a broken connection if the content is still the same.

    The next request is for the rest if the entity tag still matches. Without a tag it is for the
    whole content.
    """

    def __init__(
        self,
        transport: AsyncTransport,
        operation: OperationId,
        call: Call,
        sink: Sink,
        on_progress: OnProgress | None,
    ) -> None:
        self._transport = transport
        self._operation: OperationId = operation
        self._call = call
        self._sink = sink
        self._on_progress = on_progress
        # Head of the latest response; unset before the first one that is not partial.
        self._head: Head
        config, reader = transport.config, transport.reader
        builder = RequestBuilder(config, accept="*/*")
        self._kind = ResponseKind(
            builder, _is_content, reader.status_error, reader.connection_error
        )
        deadline = config.deadline
        self._give_up_at = None if deadline is None else transport.clock() + deadline

    async def run(self) -> None:
        async for attempt in AsyncAttempts(self._pause, self._transport.sleep):
            with attempt as number:
                await self._attempt(number)
                break
        self._check()

    def _pause(self, error: SynthPoolsError, number: int) -> float | None:
        transport, max_retries = self._transport, self._transport.config.max_retries
        if getattr(error, "status_code", None) == _RANGE_NOT_SATISFIABLE and self._sink.size:
            # The content has changed, and is shorter now.
            self._sink.restart()
            wait = 0.0 if number <= max_retries else None
        else:
            remaining = self._remaining()
            wait = transport.retry_wait(
                self._operation, error, number, call=self._call, remaining=remaining
            )
        if wait is not None:
            transport.observer.retrying(self._call, error, number, wait, max_retries)
        return wait

    async def _attempt(self, attempt: int) -> None:
        transport = self._transport
        remaining = self._remaining()
        if remaining is not None and remaining <= 0:
            raise transport.reader.deadline_error(self._call, attempt - 1)
        response = await transport.open(
            self._operation, self._request(), self._kind, attempt=attempt, longest=remaining
        )
        failure: ExchangeError | None = None
        is_late = False
        try:
            self._begin(response)
            async for chunk in response.chunks():
                self._sink.write(chunk)
                self._report_progress()
                remaining = self._remaining()
                is_late = remaining is not None and remaining <= 0
                if is_late:
                    break
            response.check_body(self._sink.size)
        except ExchangeError as error:
            failure = error
        finally:
            await response.aclose()
        # Raised outside of the handler, so that no error refers to the original exception.
        if is_late and not self._is_complete():
            raise transport.reader.deadline_error(self._call, attempt)
        if failure is not None and transport.is_closed:
            raise ClientClosedError("the client was closed while a content was read")
        if failure is not None:
            raise transport.reader.content_error(self._call, failure)

    def _request(self) -> Call:
        # The tag and the range refer to the bytes without an encoding.
        headers = {**self._call.get("headers", {}), "Accept-Encoding": "identity"}
        if self._sink.size and self._head.tag is not None:
            headers |= {"Range": f"bytes={self._sink.size}-", "If-Range": self._head.tag}
        return {**self._call, "headers": headers}

    def _begin(self, response: ResponseHead) -> None:
        head, size = read_head(response.status_code, response.headers), self._sink.size
        if response.status_code != 206:
            if size:
                self._sink.restart()
        elif size and head.continues(self._head, size):
            # A total that was named once stays true.
            head = head._replace(total=self._head.total if head.total is None else head.total)
        else:
            secret = self._transport.config.api_key
            actual = secret.redact(response.headers.get("content-range", ""))[:100]
            raise ContentMismatchError(
                f"{self._call['method'].upper()} {self._call['url']} -> the content from byte "
                f"{size} on was asked for, and something else came: {actual!r}",
                expected=f"bytes {size}-",
                actual=actual,
            )
        self._head = head
        if not self._sink.size:
            self._report_progress()

    def _report_progress(self) -> None:
        if self._on_progress is not None:
            self._on_progress(self._sink.size, self._head.total)

    def _is_complete(self) -> bool:
        return self._head.total is not None and self._sink.size == self._head.total

    def _check(self) -> None:
        head, sink = self._head, self._sink
        method, path = self._call["method"].upper(), self._call["url"]
        if head.total is not None and sink.size != head.total:
            raise ContentMismatchError(
                f"{method} {path} -> {sink.size} bytes came of a content of {head.total}",
                expected=str(head.total),
                actual=str(sink.size),
            )
        if head.sha256 is not None and sink.sha256 != head.sha256:
            raise ContentMismatchError(
                f"{method} {path} -> the content is not the one that the service names: its "
                f"SHA-256 is {sink.sha256}, not {head.sha256}",
                expected=head.sha256,
                actual=sink.sha256,
            )

    def _remaining(self) -> float | None:
        return None if self._give_up_at is None else self._give_up_at - self._transport.clock()


def _is_content(response: ResponseHead) -> bool:
    return response.is_success
