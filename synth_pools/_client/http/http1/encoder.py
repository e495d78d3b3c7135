"""Requests as HTTP/1.1 sends them: no I/O, the same for both variants."""

from __future__ import annotations

import re

from synth_pools._client.http import URL
from synth_pools._client.http.messages import ExchangeError, OutgoingRequest

_TARGET = re.compile(r"/[!-~]*")
_PORTS = {"http": 80, "https": 443}


class RequestEncoder:
    """Encoder of the requests to one service.

    Args:
        base_url: Base URL of the service.

    Attributes:
        host: Name or address of its host.
        port: Its port.
        is_secure: Whether it is spoken to over TLS.
    """

    def __init__(self, base_url: str) -> None:
        url = URL(base_url)
        self.host = url.raw_host.decode("ascii")
        self.port = url.port or _PORTS[url.scheme]
        self.is_secure = url.scheme == "https"
        self._host_header = url.netloc.decode("ascii")
        self._origin = len(f"{url.scheme}://{self._host_header}")

    def headers_of(self, request: OutgoingRequest) -> dict[str, str]:
        """Return the headers that are sent with a request, without the key."""
        return request.connection_headers(self._host_header)

    def encode(self, request: OutgoingRequest, key: str) -> bytes:
        """Encode a request. No variable may hold what comes out: the key is in it.

        Raises:
            ExchangeError: A header cannot be sent.
        """
        headers = request.connection_headers(self._host_header)
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        target = request.url[self._origin :] or "/"
        if not (
            _TARGET.fullmatch(target)
            and lines.isascii()
            and lines.count("\r") == lines.count("\n") == len(headers)
            and "\0" not in lines
        ):
            raise ExchangeError("LocalProtocolError", "a header cannot be sent", sent=False)
        head = f"{request.method} {target} HTTP/1.1\r\n{lines}Authorization: Bearer "
        return f"{head}{key}\r\n\r\n".encode() + (request.content or b"")
