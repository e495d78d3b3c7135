"""Transport of httpx to the relay in this process, which takes less time than that of httpx."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx

from synth_pools.relay.upstream import Upstream, UpstreamAnswer, UpstreamError

# A request is written with headers of its own for these.
_HIDDEN = (b"host", b"content-length", b"connection", b"accept-encoding")


class RelayTransport(httpx.AsyncBaseTransport):
    """Connections to a single server, without certificates, proxies or a limit of time."""

    _upstream: Upstream | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request."""
        method, url = request.method.encode(), request.url
        self._upstream = self._upstream or Upstream(f"{url.scheme}://{url.netloc.decode()}")
        headers = [pair for pair in request.headers.raw if pair[0].lower() not in _HIDDEN]
        try:
            content = await request.aread()
            answer = await self._upstream.send(method, url.raw_path, headers, content)
        except UpstreamError as error:
            raise httpx.ConnectError(str(error)) from None
        return httpx.Response(answer.status, headers=answer.headers, stream=_Body(answer))

    async def aclose(self) -> None:
        """End the connections."""
        if self._upstream is not None:
            self._upstream.close()


class _Body(httpx.AsyncByteStream):
    def __init__(self, answer: UpstreamAnswer) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._answer.pieces():
                yield piece
        except UpstreamError as error:
            raise httpx.ReadError(str(error)) from None

    async def aclose(self) -> None:
        # It ends the connection of an answer that was not read.
        self._answer.__exit__()
