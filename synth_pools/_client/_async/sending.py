"""Sends one request over an HTTP client: a caller's own, or one of ours."""

from __future__ import annotations

from collections.abc import Generator

import httpx

from synth_pools._client.config import Secret


class AsyncSender:
    """Sends over a caller's own client, with all that it does to a request.

    Attributes:
        http: The client.
    """

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def send(
        self, request: httpx.Request, secret: Secret, *, stream: bool = False
    ) -> httpx.Response:
        """The answer; unread for ``stream``."""
        return await self.http.send(
            request, auth=_BearerAuth(secret), follow_redirects=False, stream=stream
        )


class AsyncOwnSender(AsyncSender):
    """Sends over a client of ours, by the way that the client itself would take.

    What `send` of httpx adds to that takes a third of a whole call on the loopback interface:
    hooks, cookies, authentication and redirects, none of which a client of ours has.
    """

    def __init__(self, http: httpx.AsyncClient, base_url: str) -> None:
        super().__init__(http)
        # What the environment says about proxies is decided in there, once for one host.
        self._transport = http._transport_for_url(httpx.URL(base_url))

    async def send(
        self, request: httpx.Request, secret: Secret, *, stream: bool = False
    ) -> httpx.Response:
        if self.http.is_closed:
            raise RuntimeError("the HTTP client is closed")
        request.headers["Authorization"] = f"Bearer {secret.reveal()}"
        try:
            response = await self._transport.handle_async_request(request)
        finally:
            # Answers and errors hold on to their request.
            del request.headers["Authorization"]
        response.request = request
        if not stream:
            try:
                await response.aread()
            except BaseException:
                await response.aclose()
                raise
        return response


class _BearerAuth(httpx.Auth):
    """Puts the key into a request only while it is sent, so that no client object holds it."""

    __slots__ = ("_secret",)

    def __init__(self, secret: Secret) -> None:
        self._secret = secret

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = f"Bearer {self._secret.reveal()}"
        try:
            yield request
        finally:
            request.headers.pop("Authorization", None)
