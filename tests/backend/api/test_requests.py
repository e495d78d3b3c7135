"""The URL under which a request has reached the backend."""

from __future__ import annotations

from typing import Any

import pytest

from synth_pools.backend.api.requests import base_url_of


@pytest.mark.parametrize(
    ("server", "headers", "url"),
    [
        (("127.0.0.1", 8080), {"host": "pools.example:1"}, "http://pools.example:1"),
        (("127.0.0.1", 8080), {}, "http://127.0.0.1:8080"),
        (("::1", 8080), {}, "http://[::1]:8080"),
        (("127.0.0.1", None), {}, "http://127.0.0.1"),
        (None, {}, "http://127.0.0.1"),
        (None, {"host": "h", "x-forwarded-proto": "https"}, "https://h"),
        (None, {"host": "h", "x-forwarded-proto": "HTTPS"}, "https://h"),
        (None, {"host": "h", "x-forwarded-proto": "javascript"}, "http://h"),
        (None, {"host": "h", "x-forwarded-proto": "https, http"}, "https://h"),
        (None, {"host": "h", "x-forwarded-prefix": "/a/b.c/"}, "http://h/a/b.c"),
        (None, {"host": "h", "x-forwarded-prefix": "/"}, "http://h"),
        (None, {"host": "h", "x-forwarded-prefix": "//elsewhere"}, "http://h"),
        (None, {"host": "h", "x-forwarded-prefix": "/.."}, "http://h"),
        (None, {"host": "h", "x-forwarded-prefix": "/a?b"}, "http://h"),
        (None, {"host": "h", "x-forwarded-prefix": "@elsewhere"}, "http://h"),
    ],
)
def test_it_is_the_one_that_was_asked_for(server: Any, headers: dict[str, str], url: str) -> None:
    assert base_url_of({"scheme": "http", "server": server}, headers) == url
