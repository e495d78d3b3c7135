"""A server that behaves as a test says, and a client of the kit for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from synth_pools.contract.document import Document
from synth_pools.contract.http.client import HttpClient
from synth_pools.contract.options import ApiKey
from synth_pools.spec import load_spec

DOCUMENT = Document(load_spec())
KEY = "reading-key-0123456789"


@contextmanager
def behaving(
    behave: Callable[[BaseHTTPRequestHandler], None], **options: Any
) -> Iterator[HttpClient]:
    """Yield a client, and end its server afterwards.

    Args:
        behave: What the server does with a request.
        **options: Those of the client.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                behave(self)
            except OSError:
                self.close_connection = True

        do_POST = do_GET  # noqa: N815 - the base class's name

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    http = HttpClient(url, ApiKey(KEY), DOCUMENT, **options)
    try:
        yield http
    finally:
        http.close()
        server.shutdown()
        server.server_close()
