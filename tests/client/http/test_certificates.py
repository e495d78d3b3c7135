"""Certificates are read once, and only where a connection may use TLS."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import pytest
import trustme

from synth_pools._client.http.environment import context_for

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)


def authority_count(context: ssl.SSLContext) -> int:
    return context.cert_store_stats()["x509_ca"]


def test_certificates_are_read_once_for_tls() -> None:
    context = context_for("https://pools.example")
    assert authority_count(context) > 0
    assert context is context_for("https://other.example")


def test_no_certificate_is_trusted_without_tls() -> None:
    context = context_for("http://127.0.0.1:8080")
    assert authority_count(context) == 0
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


def test_a_proxy_may_speak_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "https://proxy.example:8443")
    assert context_for("http://pools.example") is context_for("https://pools.example")


def test_certificates_that_were_replaced_are_read_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "authority.pem"
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    contexts = []
    for number in range(2):
        new = tmp_path / "new.pem"
        trustme.CA(organization_name=f"Authority {number}").cert_pem.write_to_path(new)
        new.replace(file)
        contexts.append(context_for("https://pools.example"))
        assert context_for("https://pools.example") is contexts[-1]
    names = [context.get_ca_certs()[0]["subject"] for context in contexts]
    assert names[0] != names[1]
    # Rewritten in place, with the same length.
    file.write_bytes(file.read_bytes())
    os.utime(file, ns=(0, 0))
    assert context_for("https://pools.example") is not contexts[1]
