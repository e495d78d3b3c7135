"""Built requests: each header once, queries in the service's spelling."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from synth_pools import RequestValidationError
from synth_pools._client.config import resolve_config, with_options
from synth_pools._client.http.request_builder import RequestBuilder
from synth_pools._client.secret import Secret

URL = "http://HOST:80/prefix"


def builder(headers: dict[str, str] | None = None) -> RequestBuilder:
    config = resolve_config(api_key=Secret("k" * 10), base_url=URL)
    config = with_options(config, headers=headers)
    return RequestBuilder(config, accept="application/json", read_timeout=1.0)


@pytest.mark.parametrize("seconds", [None, 2_147_484.0, 4_294_967.5, 1e9])
def test_no_wait_is_longer_than_the_system_counts(seconds: float | None) -> None:
    config = resolve_config(api_key=Secret("k" * 10), base_url=URL, timeout=seconds)
    call = {"method": "get", "url": "/v1/x"}
    for read_timeout in (None, 1e9):
        built = RequestBuilder(config, accept="*/*", read_timeout=read_timeout)
        for longest in (None, 1e9):
            limits = built.build(call, None, longest=longest).limits
            assert {int(limit * 1000) < 2**31 for limit in limits} == {True}


@pytest.mark.parametrize("name", ["user-agent", "ACCEPT-ENCODING", "x-own"])
def test_a_header_is_sent_once(name: str) -> None:
    call = {"method": "post", "url": "/v1/x", "headers": {"X-OWN": "3", "accept": "*/*"}}
    request = builder({name: "2"}).build(call, b"{}", longest=None)
    sent = request.connection_headers("host")
    names = [header.lower() for header in sent]
    assert sorted(names) == sorted({*names, "x-own"})
    values = {header.lower(): value for header, value in sent.items()}
    assert values[name.lower()] == ("3" if name == "x-own" else "2")
    assert values["accept"] == "*/*"
    assert values["content-length"] == "2"


@pytest.mark.parametrize(
    "params",
    [
        {"limit": 5, "cursor": "a b+c/d=&%"},
        {"archived": True, "empty": "", "none": None, "x": 1.5},
        {"state": ["queued", "running"], "name": "\u00e9\U0001f600"},
    ],
)
def test_a_query_is_that_of_httpx(params: dict[str, Any]) -> None:
    call = {"method": "get", "url": "/v1/x", "params": params}
    url = builder().build(call, None, longest=None).url
    assert url == str(httpx.URL("http://host/prefix/v1/x", params=params))


def test_a_url_that_is_too_long() -> None:
    call = {"method": "get", "url": "/v1/x", "params": {"cursor": "x" * 70_000}}
    with pytest.raises(RequestValidationError, match="too long"):
        builder().build(call, None, longest=None)
