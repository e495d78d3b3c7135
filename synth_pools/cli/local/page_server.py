"""Server of the live page on this machine, for any backend or for a journal.

It keeps the key: the browser logs in to it, and it adds the key to requests for the API.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

import httpx

from synth_pools.cli.local.journal_api import JournalApi
from synth_pools.ui.sessions import Keys, LoginLinks, OneKey, Sessions
from synth_pools.ui.site import PageRequest, PageResponse, Site, is_page_path

_SECONDS = 60.0
_MOST_BODY_BYTES = 64 * 1024 * 1024
_CHUNK_BYTES = 64 * 1024
_WITHOUT_BODY = (204, 304)
_OWN_NAMES = ("127.0.0.1", "localhost", "[::1]")
# Headers that concern one connection, or describe the browser.
_NOT_SENT = {
    "accept-encoding", "authorization", "connection", "content-length", "cookie", "expect", "host",
    "keep-alive", "origin", "proxy-authorization", "referer", "te", "trailer", "transfer-encoding",
    "upgrade", "x-synth-pools-page",
}  # fmt: skip
_NOT_RETURNED = {
    "connection", "content-encoding", "content-length", "keep-alive", "set-cookie",
    "strict-transport-security", "transfer-encoding", "upgrade",
}  # fmt: skip

_Headers = dict[str, str]
# Status, headers, and chunks of the body.
_Answer = tuple[int, _Headers, Iterator[bytes]]
# Called with a method, a target, headers and a body.
_Api = Callable[[str, str, _Headers, bytes], contextlib.AbstractContextManager[_Answer]]


class PageServer:
    """Live page on a port of this machine, as a context manager."""

    def __init__(self, api: _Api, keys: Keys, about: dict[str, str], port: int = 0) -> None:
        """Bind the port; `for_backend` and `for_journal` create servers.

        Raises:
            OSError: The port is taken.
        """
        self._api = api
        self._links = LoginLinks(time.time, secrets.token_urlsafe)
        sessions = Sessions(keys, time.time, secrets.token_urlsafe)
        self._server = _Server(("127.0.0.1", port), Site(keys, sessions, self._links, about), api)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    @classmethod
    def for_backend(cls, url: str, api_key: str, *, port: int = 0) -> Self:
        """Show a backend.

        Args:
            url: Its base URL.
            api_key: The key of its API; it also logs in to the page.
            port: The port on 127.0.0.1; 0 for a free one.

        Raises:
            OSError: The port is taken.
            ValueError: The URL is not an HTTP URL.
        """
        base = url.rstrip("/").removesuffix("/v1")
        if urlsplit(base).scheme not in ("http", "https") or not urlsplit(base).hostname:
            raise ValueError(f"{url!r} is no URL of a backend: it begins with http:// or https://")
        return cls(_Backend(base, api_key), OneKey(api_key), {"url": base}, port)

    @classmethod
    def for_journal(cls, path: Path, *, port: int = 0) -> Self:
        """Show the journal of a fleet, without a backend.

        Args:
            path: The journal; the page also shows lines that are added later.
            port: The port on 127.0.0.1; 0 for a free one.

        Raises:
            OSError: The port is taken, or the journal cannot be read.
            ValueError: The file is no journal.
        """
        api = _Journal(JournalApi(path))
        return cls(api, OneKey(secrets.token_urlsafe(32)), {"journal": path.name}, port)

    def login_url(self) -> str:
        """Return a secret address that logs in once, within an hour."""
        return f"{self.url}/ui/#login={self._links.issue()}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        if isinstance(self._api, _Backend):
            self._api.close()


class _Backend:
    """Backend that gets the requests of the page."""

    def __init__(self, base: str, api_key: str) -> None:
        self._base = base
        self._client = httpx.Client(
            timeout=httpx.Timeout(_SECONDS, pool=None),
            # Many servers close a connection that is idle for 5 seconds.
            limits=httpx.Limits(max_keepalive_connections=20, keepalive_expiry=4.0),
        )
        # A closure, unlike an attribute, is not shown by a repr.
        self._authorize: Callable[[], _Headers] = lambda: {"authorization": f"Bearer {api_key}"}

    def close(self) -> None:
        """Close the connections to the backend."""
        self._client.close()

    @contextlib.contextmanager
    def __call__(
        self, method: str, target: str, headers: _Headers, body: bytes
    ) -> Iterator[_Answer]:
        forwarded = {name: value for name, value in headers.items() if name not in _NOT_SENT}
        url = httpx.URL(self._base + target)
        with self._client.stream(
            method, url, headers={**forwarded, **self._authorize()}, content=body or None
        ) as response:
            returned = {n: v for n, v in response.headers.items() if n.lower() not in _NOT_RETURNED}
            yield response.status_code, returned, response.iter_bytes()


class _Journal:
    """Journal that answers the requests of the page."""

    def __init__(self, journal: JournalApi) -> None:
        self._journal = journal

    @contextlib.contextmanager
    def __call__(self, method: str, target: str, _headers: _Headers, _: bytes) -> Iterator[_Answer]:
        address = urlsplit(target)
        if method == "GET":
            status, document = self._journal.get(address.path, dict(parse_qsl(address.query)))
        else:
            status, document = 405, _error("method_not_allowed", "A journal can only be read.")
        body = json.dumps(document).encode("ascii")
        yield status, {"content-type": "application/json"}, iter([body])


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], site: Site, api: _Api) -> None:
        self.site = site
        self.api = api
        super().__init__(address, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a browser that hangs up."""


class _Handler(BaseHTTPRequestHandler):
    # The base class allows any server; this handler has only one.
    server: _Server  # pyright: ignore[reportIncompatibleVariableOverride]
    protocol_version = "HTTP/1.1"
    timeout = _SECONDS
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Write nothing: the terminal shows the address of the page."""

    def _respond(self) -> None:
        headers: _Headers = {}
        for name, value in self.headers.items():
            headers.setdefault(name.lower(), value)
        path = self.path.partition("?")[0]
        if "transfer-encoding" in headers or ".." in unquote(path).split("/"):
            return self._refuse(400, "bad_request", "No browser sends this.")
        size = headers.get("content-length", "0")
        if not size.isdecimal() or int(size[:12]) > _MOST_BODY_BYTES:
            return self._refuse(
                413, "payload_too_large", "The body is too large, or has no length."
            )
        body = self.rfile.read(int(size))
        # Requests for a foreign DNS name (DNS rebinding) are refused.
        host = headers.get("host", "")
        if host.removesuffix(f":{self.server.server_port}") not in _OWN_NAMES:
            return self._refuse(403, "forbidden_host", "Call this server by its address.")
        if is_page_path(path):
            return self._send(
                self.server.site.answer(PageRequest(self.command, path, headers, body))
            )
        if not path.startswith("/v1/"):
            return self._refuse(404, "not_found", "There is nothing at this path.")
        if not self.server.site.sessions.admits(headers):
            return self._refuse(401, "unauthorized", "Log in to the page.")
        return self._pass_on(headers, body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _respond  # noqa: N815

    def _pass_on(self, headers: _Headers, body: bytes) -> None:
        has_begun = False
        try:
            with self.server.api(self.command, self.path, headers, body) as (
                status,
                answer_headers,
                pieces,
            ):
                has_begun = True
                if self.command == "HEAD" or status in _WITHOUT_BODY:
                    return self._head(status, answer_headers)
                self._head(status, {**answer_headers, "transfer-encoding": "chunked"})
                for piece in pieces:
                    for at in range(0, len(piece), _CHUNK_BYTES):
                        part = piece[at : at + _CHUNK_BYTES]
                        self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
                    self.wfile.flush()
                self.wfile.write(b"0\r\n\r\n")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            # Close the connection early, so that the page notices an incomplete answer.
            self.close_connection = True
            if not has_begun:
                reason = f"The backend gives no answer: {type(error).__name__}."
                self._refuse(502, "bad_gateway", reason)

    def _refuse(self, status: int, code: str, message: str) -> None:
        # The rest of the request is not read.
        self.close_connection = True
        body = json.dumps(_error(code, message)).encode("ascii")
        self._send(PageResponse(status, body, {"content-type": "application/json"}))

    def _send(self, response: PageResponse) -> None:
        self._head(response.status, {**response.headers, "content-length": str(len(response.body))})
        if self.command != "HEAD":
            self.wfile.write(response.body)

    def _head(self, status: int, headers: _Headers) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("connection", "close")
        self.end_headers()


def _error(code: str, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message}, "detail": message}
