# Derived by `make generate`. Change the file that it comes from:
# synth_pools/_client/_async/sending.py

"""Sends one request over an HTTP client: a caller's own, or one of ours."""

from __future__ import annotations

from collections.abc import Generator

import httpx

from synth_pools._client.config import Secret


class Sender:
    """Sends over a caller's own client, with all that it does to a request.

    Attributes:
        http: The client.
    """

    def __init__(self, http: httpx.Client) -> None:
        self.http = http

    def send(
        self, request: httpx.Request, secret: Secret, *, stream: bool = False
    ) -> httpx.Response:
        """The answer; unread for ``stream``."""
        return self.http.send(
            request, auth=_BearerAuth(secret), follow_redirects=False, stream=stream
        )


class OwnSender(Sender):
    """Sends over a client of ours, by the way that the client itself would take.

    What `send` of httpx adds to that takes a third of a whole call on the loopback interface:
    hooks, cookies, authentication and redirects, none of which a client of ours has.
    """

    def __init__(self, http: httpx.Client, base_url: str) -> None:
        super().__init__(http)
        # What the environment says about proxies is decided in there, once for one host.
        self._transport = http._transport_for_url(httpx.URL(base_url))

    def send(
        self, request: httpx.Request, secret: Secret, *, stream: bool = False
    ) -> httpx.Response:
        if self.http.is_closed:
            raise RuntimeError("the HTTP client is closed")
        request.headers["Authorization"] = f"Bearer {secret.reveal()}"
        try:
            response = self._transport.handle_request(request)
        finally:
            # Answers and errors hold on to their request.
            del request.headers["Authorization"]
        response.request = request
        if not stream:
            try:
                response.read()
            except BaseException:
                response.close()
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
