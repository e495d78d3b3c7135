"""The log holds no key and no contents of requests or answers, on any level."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from tests.local.odd_container import http, odd_container
from tests.local.serving import KEY, Server

MARK = "mark-of-a-body"


def test_no_key_and_no_body(
    start: Callable[..., Server],
    failures: list[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.DEBUG)
    # A level that somebody chose for a library must not be what keeps it quiet here.
    for name in ("synth_pools.local", "uvicorn", "asyncio"):
        monkeypatch.setattr(logging.getLogger(name), "level", logging.DEBUG)
    own = start(validate_responses=False)
    broken = http(200, f"<html>{MARK}</html>".encode())
    with odd_container(lambda _: broken) as container:
        for url in (None, container.url, "http://127.0.0.1:1"):
            pool_id = own.pool(container_url=url, secret=MARK)
            own.run(pool_id, env={"secret": MARK, "reward": 1})
            own.send("POST", f"/v1/pools/{pool_id}/container/rollout", json={"secret": MARK})
    json_type = {"content-type": "application/json"}
    for content in (f'{{"{MARK}"', f'{{"name": 1, "a": "{MARK}"}}', MARK):
        own.send("POST", "/v1/pools", content=content, headers=json_type)
    own.send("GET", f"/v1/pools/{MARK}")
    own.send("GET", "/v1/pools", params={"cursor": MARK})
    own.send("GET", "/v1/pools", headers={"authorization": f"Bearer {MARK}"})
    own.send("GET", "/v1/pools", headers={"host": f"{MARK}.example"})
    assert failures == []

    def crash(*_: object) -> None:
        raise RuntimeError("of the backend's own")

    monkeypatch.setattr("synth_pools.local.handlers.pools.pool_definition", crash)
    own.refused("POST", "/v1/pools", 500, "internal_error", json={"name": "n", "a": MARK})
    assert len(failures) == 1
    failures.clear()
    # Tests and the backend share a process: what our own client says of its requests is ours.
    told = [record for record in caplog.records if not record.name.startswith("http")]
    text = "\n".join(logging.Formatter().format(record) for record in told)
    assert "of the backend's own" in text
    assert MARK not in text
    assert KEY not in text
