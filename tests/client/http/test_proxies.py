"""Exceptions from the proxies of the environment."""

from __future__ import annotations

import pytest

from synth_pools._client.http.environment import proxy_for


@pytest.mark.parametrize(
    ("exceptions", "url", "is_direct"),
    [
        ("*", "https://pools.example", True),
        ("localhost, pools.example", "https://pools.example", True),
        ("pools.example", "https://eu.POOLS.example:8443", True),
        ("pools.example", "https://carpools.example", False),
        ("pools.example.", "https://pools.example", True),
        ("*.pools.example", "https://eu.pools.example", True),
        ("*.pools.example", "https://pools.example", False),
        (".pools.example", "https://eu.pools.example", True),
        (".pools.example", "https://pools.example", False),
        ("pools.example:8443", "https://pools.example:8443", True),
        ("pools.example:8443", "https://pools.example", False),
        ("pools.example:443", "https://pools.example", True),
        ("http://pools.example", "https://pools.example", False),
        ("https://pools.example/", "https://pools.example", True),
        ("10.1.2.3", "http://10.1.2.3:8080", True),
        ("10.1.2.3", "http://10.1.2.30", False),
        ("10.1.2.3:80", "http://10.1.2.3", True),
        ("10.0.0.0/8", "http://10.1.2.3:8080", True),
        ("10.1.2.3/8", "http://10.200.0.1", True),
        ("10.0.0.0/8", "http://11.1.2.3", False),
        ("10.0.0.0/8", "http://pools.example", False),
        ("::1", "http://[::1]:8080", True),
        ("[::1]", "http://[::1]:8080", True),
        ("[::1]:8080", "http://[::1]:8080", True),
        ("[::1]:8080", "http://[::1]:9090", False),
        ("0:0:0:0:0:0:0:1", "http://[::1]", True),
        ("fd00::/8", "http://[fd12::1]", True),
        ("[fd00::]/8", "http://[fd12::1]", True),
        ("fd00::/8 10.0.0.0/8", "http://10.1.2.3", True),
        ("fd00::/8", "http://10.1.2.3", False),
        ("10.*,<local>,,", "http://11.1.2.3", False),
    ],
)
def test_which_hosts_need_no_proxy(
    monkeypatch: pytest.MonkeyPatch, exceptions: str, url: str, is_direct: bool
) -> None:
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "127.0.0.1:9")
    monkeypatch.setenv("no_proxy", exceptions)
    assert proxy_for(url) == (None if is_direct else "http://127.0.0.1:9")
