"""The log holds no key and no contents of requests or answers, on any level."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from tests.support.backend_server import KEY, Server, eventually
from tests.support.containers import Seen, http, odd_container

MARK = "mark-of-a-body"


def test_no_key_and_no_body(
    start: Callable[..., Server],
    failures: list[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.DEBUG)
    # Levels of libraries must not silence the log here.
    for name in ("synth_pools.backend", "uvicorn", "asyncio"):
        monkeypatch.setattr(logging.getLogger(name), "level", logging.DEBUG)
    backend = start(validate_responses=False)
    broken = http(200, f"<html>{MARK}</html>".encode())
    with odd_container(lambda _: broken) as container:
        for url in (None, container.url, "http://127.0.0.1:1"):
            pool_id = backend.pool(container_url=url, secret=MARK)
            backend.run(pool_id, env={"secret": MARK, "reward": 1})
            backend.send("POST", f"/v1/pools/{pool_id}/container/rollout", json={"secret": MARK})
    json_type = {"content-type": "application/json"}
    for content in (f'{{"{MARK}"', f'{{"name": 1, "a": "{MARK}"}}', MARK):
        backend.send("POST", "/v1/pools", content=content, headers=json_type)
    backend.send("GET", f"/v1/pools/{MARK}")
    backend.send("GET", "/v1/pools", params={"cursor": MARK})
    backend.send("GET", "/v1/pools", headers={"authorization": f"Bearer {MARK}"})
    backend.send("GET", "/v1/pools", headers={"host": f"{MARK}.example"})
    assert failures == []

    def crash(*_: object) -> None:
        raise RuntimeError("of the backend's own")

    monkeypatch.setattr("synth_pools.backend.api.handlers.pools.pool_definition", crash)
    backend.refused("POST", "/v1/pools", 500, "internal_error", json={"name": "n", "a": MARK})
    assert len(failures) == 1
    failures.clear()
    # Tests and the backend share a process: what our own client says of its requests is ours.
    records = [record for record in caplog.records if not record.name.startswith("http")]
    text = "\n".join(logging.Formatter().format(record) for record in records)
    assert "of the backend's own" in text
    assert MARK not in text
    assert KEY not in text


def test_no_query_of_a_container(
    start: Callable[..., Server], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "synth_pools.backend")
    backend = start(health_interval_seconds=0.01)
    well = [False]

    def check(_: Seen) -> bytes:
        return http(200 if well[0] else 500, {})

    with odd_container(lambda _: http(200, {}), check) as container:
        backend.pool(container_url=f"{container.url}/at?token={MARK}")
        backend.pool(container_url=f"http://127.0.0.1:1/at?token={MARK}")
        # Backends of other tests write into the same log.
        ends = [f"{url}/at gets nothing new" for url in (container.url, "http://127.0.0.1:1")]
        eventually(lambda: [caplog.text.count(end) for end in ends] == [1, 1])
        well[0] = True
        eventually(lambda: f"{container.url}/at is back" in caplog.text)
    assert f"{container.url}/at is back" in caplog.text
    assert "http://127.0.0.1:1/at gets nothing new: No container answered" in caplog.text
    records = [record for record in caplog.records if record.name.startswith("synth_pools.backend")]
    assert MARK not in "".join(logging.Formatter().format(record) for record in records)
