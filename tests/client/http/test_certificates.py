"""Certificates are read once, and only where a connection may use TLS."""

from __future__ import annotations

import ssl

import pytest

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
