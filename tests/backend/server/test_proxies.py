"""Proxies on other machines: whose headers are believed."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from synth_pools.backend.errors import BadOptionError
from synth_pools.backend.settings import BackendOptions
from synth_pools.local import LocalBackend
from tests.support.backend_server import KEY

# An address of this machine that is not the usual one, as a proxy elsewhere has.
ELSEWHERE = "127.0.0.2"


def _is_secure(backend: LocalBackend, source: str) -> bool:
    """Log in through a proxy that speaks TLS; return whether the cookie is for TLS only."""
    transport = httpx.HTTPTransport(local_address=source)
    headers = {"x-forwarded-proto": "https"}
    with httpx.Client(base_url=backend.url, transport=transport, headers=headers) as client:
        answer = client.post("/ui/session", json={"key": KEY})
    assert answer.status_code == 200, answer.text
    return "; Secure" in answer.headers["set-cookie"]


@pytest.mark.parametrize(
    ("proxies", "expected"),
    [
        ((), {"127.0.0.1": True, ELSEWHERE: False}),
        (("127.0.0.3",), {"127.0.0.1": True, ELSEWHERE: False}),
        (("10.0.0.7", ELSEWHERE), {"127.0.0.1": True, ELSEWHERE: True, "127.0.0.3": False}),
        (("127.0.0.0/29",), {ELSEWHERE: True, "127.0.0.9": False}),
        (("*",), {ELSEWHERE: True}),
    ],
)
def test_a_scheme_is_believed_of_proxies_that_are_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    proxies: tuple[str, ...],
    expected: dict[str, bool],
) -> None:
    monkeypatch.delenv("FORWARDED_ALLOW_IPS", raising=False)
    with LocalBackend(tmp_path, api_key=KEY, forwarded_allow_ips=proxies) as backend:
        assert {source: _is_secure(backend, source) for source in expected} == expected


@pytest.mark.parametrize("text", ["proxy.example", "10.0.0.0/99", "10.0.0.1/8", ""])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(BadOptionError, match="forwarded_allow_ips takes addresses, networks"):
        BackendOptions.checked(None, forwarded_allow_ips=[text])
    with pytest.raises(BadOptionError, match="not one text"):
        BackendOptions.checked(None, forwarded_allow_ips="10.0.0.1")
