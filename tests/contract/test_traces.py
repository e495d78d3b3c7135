"""Traces of a run: its clean-up, the resources of others, and its repetition."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from typing import Any

import httpx
import pytest

from synth_pools.cli import run
from synth_pools.contract import run_contract
from synth_pools.local import LocalBackend
from tests.contract.faults.fault import KEY
from tests.contract.selftest.watched import watched

_HEADERS = {"authorization": f"Bearer {KEY}"}


def test_everything_that_was_made_is_removed() -> None:
    with watched() as server:
        _make(server.backend_url, "a-stranger", "somebody's")
        report = run_contract(server.url, api_key=KEY, only=("pools", "states.final"), seed=1)
        assert report.exit_code == 0
        assert [pool["id"] for pool in _pools(server.backend_url)] == ["a-stranger"]


@pytest.mark.system
def test_what_was_there_is_not_touched() -> None:
    with watched() as server:
        _make(server.backend_url, "a-stranger", "somebody's")
        before = _get(server.backend_url, "/v1/pools/a-stranger")
        run_contract(
            server.url, api_key=KEY, only=("pools", "tasks", "placement", "model"), profile="quick"
        )
        assert _get(server.backend_url, "/v1/pools/a-stranger") == before
        rollouts = _get(server.backend_url, "/v1/pools/a-stranger/rollouts")
        assert rollouts["items"] == []


@pytest.mark.system
def test_read_only_sends_gets_alone() -> None:
    with watched() as server:
        pool = _make(server.backend_url, "a-stranger", "somebody's", tasks=[{"task_id": "t"}])
        rollouts = f"{server.backend_url}/v1/pools/{pool}/rollouts"
        httpx.post(rollouts, headers=_HEADERS, json={"mode": "sync", "task_id": "t"})
        report = run_contract(server.url, api_key=KEY, read_only=True, profile="quick", seed=1)
        methods = {method for method, _, _ in server.requests}
    assert methods == {"GET"}
    assert any(o.layer == "schema" and o.outcome == "held" for o in report.outcomes)
    assert report.exit_code == 0
    judged = {o.operation for o in report.outcomes if o.layer == "client" and o.outcome == "held"}
    assert {"get_pool", "get_rollout", "stream_rollout_events", "list_global_rollouts"} <= judged
    unreached = {o.operation for o in report.outcomes if o.note == "read-only"}
    assert {"create_pool", "cancel_rollout"} <= unreached


@pytest.mark.system
def test_the_same_seed_sends_the_same_requests() -> None:
    def requests(seed: int) -> list[tuple[str, str, bytes]]:
        with watched() as server:
            report = run_contract(
                server.url,
                api_key=KEY,
                seed=seed,
                profile="quick",
                only=("pools.created", "values.pool", "events.resume", "model"),
            )
        assert report.exit_code == 0
        mark = report.run_id
        assigned = r"(rollout|pool|task)_[0-9a-f]{32}"
        plain = []
        for method, target, body in server.requests:
            # The number of polls depends on the clock, and whether late reads are looked for.
            if method != "GET" and "-late-" not in target and b"-late-" not in body:
                text = re.sub(assigned, "ASSIGNED", target.replace(mark, "RUN"))
                plain.append((method, text, _unmarked(body, mark)))
        return sorted(plain)

    first = requests(1)
    assert first == requests(1)
    assert first != requests(2)


@pytest.mark.system
def test_interrupted_it_cleans_up() -> None:
    with LocalBackend(api_key=KEY) as backend:
        process = _start(backend.url)
        try:
            _until(lambda: len(_pools(backend.url)) > 3)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=120)
        finally:
            process.kill()
        assert process.returncode == 130
        assert "interrupted" in err
        assert "Traceback" not in out + err
        assert _pools(backend.url) == []


@pytest.mark.system
def test_leftovers_of_a_crash_are_removed(capsys: pytest.CaptureFixture[str]) -> None:
    with LocalBackend(api_key=KEY) as backend:
        process = _start(backend.url)
        try:
            _until(lambda: len(_pools(backend.url)) > 3)
        finally:
            process.kill()
            process.communicate(timeout=120)
        assert _pools(backend.url)
        _make(backend.url, "contract-kitchen", "not ours")
        _make(backend.url, "b", "contract-kit-of-somebody")
        _make(backend.url, "contract-kit-0123456789", "no run id of ours")
        assert run(["contract-test", backend.url, "--api-key", KEY, "--cleanup"]) == 0
        remaining = {pool["id"] for pool in _pools(backend.url)}
    assert remaining == {"contract-kitchen", "b", "contract-kit-0123456789"}
    assert re.search(r"removed \d+ pools", capsys.readouterr().out)


def _start(url: str) -> subprocess.Popen[str]:
    program = "import sys; from synth_pools.cli import run; sys.exit(run())"
    return subprocess.Popen(
        [sys.executable, "-c", program, "contract-test", url, "--skip", "schema"],
        env={**os.environ, "SYNTH_API_KEY": KEY},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _until(look: Any, limit: float = 30.0) -> None:
    give_up = time.monotonic() + limit
    while not look():
        assert time.monotonic() < give_up
        time.sleep(0.05)


def _unmarked(body: bytes, mark: str) -> bytes:
    """Replace the values that differ in every run: its mark, and ports of stub containers."""
    return re.sub(rb"127\.0\.0\.1:\d+", b"CONTAINER", body.replace(mark.encode(), b"RUN"))


def _get(url: str, path: str) -> Any:
    return httpx.get(url + path, headers=_HEADERS).json()


def _pools(url: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = _get(url, "/v1/pools?limit=1000")["items"]
    return items


def _make(url: str, pool_id: str, name: str, **more: Any) -> str:
    body = {"pool_id": pool_id, "name": name, **more}
    httpx.post(f"{url}/v1/pools", headers=_HEADERS, json=body).raise_for_status()
    return pool_id
