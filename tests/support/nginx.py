"""The real nginx in front of a backend, with the settings that it has by default."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.backend_server import eventually
from tests.support.ports import HOST, HeldPort

_CONFIG = """\
daemon off; master_process off; pid {folder}/pid; error_log stderr;
events {{ worker_connections 64; }}
http {{
    access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    {server}
}}
"""


def find_nginx() -> str | None:
    # Debian has it where only root looks.
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@contextmanager
def nginx(url: str, *lines: str, server: str = "") -> Iterator[str]:
    """Pass requests on to a server, with further lines beside `proxy_pass`; yield the address.

    A block `server` that listens at port 443 takes the place of these lines.
    """
    server = (
        server or f"server {{ listen 443; location / {{ proxy_pass {url}; {' '.join(lines)} }} }}"
    )
    program = find_nginx()
    if program is None:
        pytest.skip("no nginx here: it is in the Debian package nginx")
    with tempfile.TemporaryDirectory() as folder, HeldPort() as port:
        block = server.replace("listen 443", f"listen {HOST}:{port.number}")
        text = _CONFIG.format(folder=folder, server=block)
        config, log = Path(folder, "nginx.conf"), Path(folder, "log")
        config.write_text(text)
        with log.open("wb") as output:
            process = subprocess.Popen(
                [program, "-p", folder, "-c", str(config), "-e", "stderr"], stderr=output
            )
        try:

            def listens() -> bool:
                assert process.poll() is None, log.read_text()
                with socket.socket() as client:
                    return client.connect_ex((HOST, port.number)) == 0

            eventually(listens)
            yield f"http://{HOST}:{port.number}"
        finally:
            process.kill()
            process.wait(60)
