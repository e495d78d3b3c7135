"""Local backend behind TLS, over HTTP/1.1 and HTTP/2, with or without client certificates.

Hypercorn serves it: the backend's own server has neither TLS nor HTTP/2.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import trustme
from hypercorn.asyncio import serve
from hypercorn.config import Config

from synth_pools.backend.api.app import create_app
from synth_pools.backend.api.live_page import new_links
from synth_pools.backend.settings import Secret, Settings
from tests.support.leaks import KEY

_LIMIT = 60.0


@dataclass(frozen=True)
class TlsBackend:
    """Address of it, and the authority that vouches for it and for its clients."""

    url: str
    authority: trustme.CA

    def trusting(self) -> ssl.SSLContext:
        """A context that trusts this server and no other."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.authority.configure_trust(context)
        return context

    def trusted(self) -> ssl.SSLContext:
        """The same, with a certificate of the client's own."""
        context = self.trusting()
        self.authority.issue_cert("client@example.org").configure_cert(context)
        return context


@contextmanager
def tls_backend(folder: Path, *, asks_for_certificates: bool = False) -> Iterator[TlsBackend]:
    """A backend with the key `KEY`, on a free port, while the block lasts."""
    authority = trustme.CA()
    config = _config(folder, authority, asks_for_certificates)
    (folder / "data").mkdir()
    settings = Settings(data_dir=folder / "data", api_key=Secret(KEY))
    app = create_app(settings, new_links())
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        # Hypercorn closes the socket, so it gets a copy.
        config.bind = [f"fd://{listening.dup().detach()}"]
        serving = serve(cast(Any, app), config, shutdown_trigger=stop.wait)
        thread = threading.Thread(target=_run, args=(loop, serving))
        thread.start()
        try:
            yield TlsBackend(f"https://127.0.0.1:{listening.getsockname()[1]}", authority)
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join(_LIMIT)
            assert not thread.is_alive(), "the server does not stop"


def _run(loop: asyncio.AbstractEventLoop, serving: Any) -> None:
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(serving)


def _config(folder: Path, authority: trustme.CA, asks_for_certificates: bool) -> Config:
    certificate = authority.issue_cert("127.0.0.1")
    paths = {name: folder / f"{name}.pem" for name in ("key", "chain", "authority")}
    certificate.private_key_pem.write_to_path(paths["key"])
    for part in certificate.cert_chain_pems:
        part.write_to_path(paths["chain"], append=True)
    authority.cert_pem.write_to_path(paths["authority"])
    config = Config()
    config.keyfile, config.certfile = str(paths["key"]), str(paths["chain"])
    config.graceful_timeout = 5.0
    config.errorlog = config.accesslog = None
    if asks_for_certificates:
        config.ca_certs = str(paths["authority"])
        config.verify_mode = ssl.CERT_REQUIRED
    return config
