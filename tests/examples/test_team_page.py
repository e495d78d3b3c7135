"""Proxies and unit of docs/team.md, as the page sets them up, before a real backend."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import trustme

from synth_pools.local import Limits, LocalBackend
from tests.support.backend_server import eventually
from tests.support.nginx import nginx
from tests.support.pages import BLOCKS, ROOT
from tests.support.ports import HOST, HeldPort
from tests.support.systemd import assert_valid_unit

NAME = "pools.example.com"
# The certificate names the host, and the URL the address.
NAMED = {"sni_hostname": NAME}
BACKEND = "http://127.0.0.1:8080"


def block(language: str) -> str:
    [matching] = [
        item for item in BLOCKS if item.page == "docs/team.md" and item.language == language
    ]
    return matching.text


@pytest.fixture(scope="module")
def backend() -> Iterator[LocalBackend]:
    with LocalBackend(allowed_hosts=[NAME]) as backend:
        yield backend


def test_nginx_passes_on_what_the_backend_needs(backend: LocalBackend, tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert(NAME)
    certificate.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "pools.pem"))
    text = block("nginx").replace(BACKEND, backend.url)
    assert f"client_max_body_size {Limits().max_body_bytes >> 20}m;" in text
    for name in ("pools.pem", "pools.key"):
        assert f"/etc/ssl/{name}" in text
        text = text.replace(f"/etc/ssl/{name}", str(tmp_path / "pools.pem"))
    with nginx(backend.url, server=text) as url:
        assert_works(url.replace("http:", "https:"), backend)


def test_caddy_needs_no_more_than_the_address(backend: LocalBackend, tmp_path: Path) -> None:
    with caddy(
        block("caddy").replace(BACKEND.removeprefix("http://"), backend.url), tmp_path
    ) as url:
        assert_works(url, backend)


def test_systemd_takes_the_settings_of_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd here")
    unit, settings = tmp_path / "synth-pools.service", tmp_path / "synth-pools.service.d/edit.conf"
    settings.parent.mkdir()
    program = "/opt/synth-pools/bin/synth-pools"
    for path, text in (
        (unit, (ROOT / "docs/operate/synth-pools.service").read_text()),
        (settings, block("ini")),
    ):
        assert f"ExecStart={program} serve" in text
        # An existing program and user, so that the rest is checked.
        text = text.replace(program, sys.executable).replace("User=synth-pools\n", "User=root\n")
        path.write_text(text)
    assert_valid_unit(unit)


def open_client(url: str) -> httpx.Client:
    return httpx.Client(base_url=url, verify=False, timeout=60)


def assert_works(url: str, backend: LocalBackend) -> None:
    """Log in to the page, send a body of some megabytes, and read events as they come."""
    of_clients = {"host": NAME, "authorization": f"Bearer {backend.api_key}"}
    with open_client(url) as client:
        answer = client.post(
            "/ui/session",
            json={"key": backend.api_key},
            headers={"host": NAME, "origin": f"https://{NAME}"},
            extensions=NAMED,
        )
        assert (answer.status_code, answer.text) == (200, answer.text)
        assert "secure" in answer.headers["set-cookie"].lower()
        pool = client.post(
            "/v1/pools",
            json={"name": "p", "metadata": {"notes": ["x" * 1000] * 3000}},
            headers=of_clients,
            extensions=NAMED,
        )
        assert pool.status_code == 201, pool.text
        path = f"/v1/pools/{pool.json()['id']}/rollouts"
        rollout = client.post(
            path, json={"env": {"delay": 600}}, headers=of_clients, extensions=NAMED
        )
        place = f"/v1/rollouts/{rollout.json()['id']}"
        with client.stream(
            "GET", f"{place}/events", headers=of_clients, extensions=NAMED
        ) as stream:
            assert "event: rollout.started" in stream.iter_lines()
        cancelled = client.post(f"{place}/cancel", headers=of_clients, extensions=NAMED)
        assert cancelled.is_success, cancelled.text


@contextmanager
def caddy(site: str, folder: Path) -> Iterator[str]:
    """Serve a site with the real Caddy, on a port of its own and with its own authority."""
    program = shutil.which("caddy")
    if program is None:
        pytest.skip("no caddy here: it is in the Debian package caddy")
    with HeldPort() as port:
        settings = (
            "{\nadmin off\nskip_install_trust\nlocal_certs\nauto_https disable_redirects\n}\n"
        )
        site = site.replace(f"{NAME} {{", f"https://{NAME}:{port.number} {{\nbind {HOST}")
        url = f"https://{HOST}:{port.number}"
        config, log = folder / "Caddyfile", folder / "log"
        config.write_text(settings + site)
        places = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
        with log.open("wb") as output:
            process = subprocess.Popen(
                [program, "run", "--config", str(config), "--adapter", "caddyfile"],
                stdout=output,
                stderr=output,
                env={**os.environ, **places},
            )
        try:

            def answers() -> bool:
                assert process.poll() is None, log.read_text()
                # It makes the certificate once it listens.
                with (
                    contextlib.suppress(httpx.TransportError),
                    httpx.Client(verify=False) as client,
                ):
                    client.get(url, headers={"host": NAME}, extensions=NAMED)
                    return True
                return False

            eventually(answers)
            yield url
        finally:
            process.kill()
            process.wait(60)
