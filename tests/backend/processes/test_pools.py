"""Pools that start their containers themselves, as a client sees them."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from synth_pools.backend.processes.ports import Ports
from tests.support.backend_server import Server, eventually
from tests.support.process_pools import (
    SMALL,
    containers,
    family,
    gated,
    gone,
    healthy,
    held,
    pids,
    process,
    start_pool,
    until,
)

Start = Callable[..., Server]

# A shell starts at once: its end decides nothing by its time.
FAILS = ["sh", "-c", "echo one; echo the cause >&2; exit 1"]


def test_it_is_off_unless_it_was_asked_for(server: Server) -> None:
    config = {"process": process()}
    body = {"name": "p", "config": config}
    server.refused("POST", "/v1/pools", 403, "processes_not_allowed", json=body)
    server.refused(
        "POST", "/v1/pools", 403, "processes_not_allowed", json={"name": "p", "pool_config": config}
    )
    path = f"/v1/pools/{server.pool()}"
    server.refused("PUT", path, 403, "processes_not_allowed", json=body)
    server.refused("PATCH", path, 403, "processes_not_allowed", json={"config": config})
    assert server.get(path)["status"] == "active"
    # Null is the same as not given.
    server.call("PATCH", path, json={"config": {"process": None}})


def test_a_pool_starts_its_containers(allowing: Server, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    pool_id = allowing.pool(capacity=2, config={"process": gated(gate, start_timeout_seconds=60)})
    pool = allowing.get(f"/v1/pools/{pool_id}")
    assert (pool["status"], pool["error"]) == ("warming", None)
    refused = allowing.refused(
        "POST", f"/v1/pools/{pool_id}/rollouts", 409, "pool_not_active", json={}
    )
    # The error is worth a retry for clients that can wait.
    assert refused["error"]["retryable"] is True
    assert {container["health"] for container in containers(allowing, pool_id)} == {"starting"}
    gate.touch()
    assert until(allowing, pool_id, "active")["error"] is None
    rollout = allowing.run(pool_id, seed=5)
    assert (rollout["status"], rollout["score"]) == ("completed", 5.0)
    actual = healthy(allowing, pool_id, 2)
    assert len({container["url"] for container in actual}) == 2
    assert rollout["result"]["pid"] in {container["pid"] for container in actual}
    assert all(
        container["restarts"] == 0 and container["last_error"] is None for container in actual
    )


def test_the_addresses_of_a_pool_are_those_of_its_processes_too(allowing: Server) -> None:
    pool_id = start_pool(allowing, capacity=2)
    started = {container["url"] for container in healthy(allowing, pool_id, 2)}
    urls = allowing.get(f"/v1/pools/{pool_id}/urls")
    assert set(urls["container_urls"]) == started
    assert urls["container_url"] == urls["container_urls"][0]
    allowing.call("DELETE", f"/v1/pools/{pool_id}")


def test_with_a_container_made_with_synth_containers(allowing: Server) -> None:
    argv = [sys.executable, "-m", "synth_containers.serve", "--target", "openenv_echo"]
    config = {"process": {"argv": [*argv, "--port", "{port}"]}}
    pool_id = allowing.pool(config=config)
    until(allowing, pool_id, "active")
    assert allowing.get(f"/v1/pools/{pool_id}/container/health")["status"] == "ok"
    allowing.call("DELETE", f"/v1/pools/{pool_id}")


def test_four_containers_share_the_rollouts(allowing: Server) -> None:
    pool_id = start_pool(allowing, capacity=4, concurrency=8)
    healthy(allowing, pool_id, 4)
    ids = [allowing.rollout(pool_id, params={"seconds": 0.2})["id"] for _ in range(24)]
    ran = Counter(allowing.until(rollout_id)["result"]["pid"] for rollout_id in ids)
    assert len(ran) == 4
    assert min(ran.values()) >= 4


def test_one_that_dies_is_started_again(allowing: Server) -> None:
    pool_id = start_pool(allowing, "child")
    [before] = healthy(allowing, pool_id, 1)
    remaining = family(before["pid"])
    assert len(remaining) == 2
    psutil.Process(before["pid"]).kill()
    after = eventually(
        lambda: [
            container for container in containers(allowing, pool_id) if container["restarts"] == 1
        ]
    )
    assert "signal 9" in after[0]["last_error"]
    [after[0]] = healthy(allowing, pool_id, 1)
    assert after[0]["pid"] != before["pid"]
    assert allowing.run(pool_id)["result"]["pid"] == after[0]["pid"]
    # Children of the dead process were ended with it.
    assert gone(remaining)
    assert allowing.get(f"/v1/pools/{pool_id}")["status"] == "active"


def test_a_port_that_another_took_first(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    take, acquisitions = Ports.acquire, 0

    def unlucky(ports: Ports) -> int:
        nonlocal acquisitions
        acquisitions += 1
        return occupied.getsockname()[1] if acquisitions == 1 else take(ports)

    monkeypatch.setattr(Ports, "acquire", unlucky)
    backend = start(allow_processes=True)
    with socket.create_server(("127.0.0.1", 0)) as occupied:
        pool_id = start_pool(backend)
        [container] = healthy(backend, pool_id, 1)
    assert acquisitions == 2
    assert (container["restarts"], "ended with status 1" in container["last_error"]) == (1, True)


@pytest.mark.system
def test_one_that_hangs_is_replaced(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    backend = start(allow_processes=True, health_interval_seconds=0.1, health_timeout_seconds=0.2)
    # A busy machine may need seconds for the first start.
    config = {"process": process(start_timeout_seconds=10)}
    pool_id = start_pool(backend, config=config)
    [before] = healthy(backend, pool_id, 1)
    former = psutil.Process(before["pid"])
    former.suspend()
    eventually(lambda: containers(backend, pool_id)[0]["health"] == "unhealthy")
    rollout_id = backend.rollout(pool_id)["id"]
    after = eventually(lambda: backend.get(f"/v1/rollouts/{rollout_id}")["result"])
    assert after["pid"] != before["pid"]
    healthy(backend, pool_id, 1)
    # Its last error may be of another one, which was too late to start.
    assert "does not work" in caplog.text
    assert not former.is_running()


def test_while_none_is_up_rollouts_wait(allowing: Server, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    gate.touch()
    pool_id = start_pool(allowing, config={"process": gated(gate)})
    [container] = healthy(allowing, pool_id, 1)
    gate.unlink()
    psutil.Process(container["pid"]).kill()
    eventually(lambda: containers(allowing, pool_id)[0]["health"] != "healthy")
    rollout_id = allowing.rollout(pool_id)["id"]
    time.sleep(0.2)
    assert allowing.state(rollout_id) == "queued"
    gate.touch()
    assert allowing.until(rollout_id)["status"] == "completed"


def test_a_rollout_whose_container_dies_fails_or_runs_again(
    allowing: Server, tmp_path: Path
) -> None:
    pool_id = start_pool(allowing, capacity=2)
    healthy(allowing, pool_id, 2)
    failed = allowing.run(pool_id, params={"die": True})
    assert failed["status"] == "failed"
    assert failed["error"]["code"] == "container_bad_response"
    healthy(allowing, pool_id, 2)
    again = allowing.rollout(pool_id, params=held(tmp_path), limits={"max_attempts": 2})["id"]
    [busy] = eventually(
        lambda: [
            container
            for container in containers(allowing, pool_id)
            if container["running_rollouts"]
        ]
    )
    psutil.Process(busy["pid"]).kill()
    (tmp_path / "go").touch()
    assert allowing.until(again)["status"] == "completed"
    starts = [event for event in allowing.events(again) if event["event"] == "rollout.started"]
    # Where it was killed before the rollout was sent, that was no attempt.
    assert [event["data"]["attempt"] for event in starts] in ([1, 2], [1, 1])
    assert starts[0]["data"]["container_url"] == busy["url"] != starts[1]["data"]["container_url"]


@pytest.mark.system
def test_a_further_attempt_waits_no_longer_than_it_may_take(
    allowing: Server, tmp_path: Path
) -> None:
    script = tmp_path / "container.py"
    script.write_bytes(Path(SMALL).read_bytes())
    ledger = tmp_path / "ledger"
    process = {"argv": [sys.executable, str(script), "{port}"], "env": {"LEDGER": str(ledger)}}
    pool_id = allowing.pool(config={"process": process})
    until(allowing, pool_id, "active")
    limits = {"max_attempts": 2, "timeout_seconds": 10}
    rollout_id = allowing.rollout(pool_id, params={"seconds": 60}, limits=limits)["id"]
    [busy] = eventually(
        lambda: [
            container
            for container in containers(allowing, pool_id)
            if container["running_rollouts"]
        ]
    )
    eventually(ledger.exists)
    # It can never be started again.
    script.unlink()
    psutil.Process(busy["pid"]).kill()
    final = allowing.until(rollout_id)
    assert final["error"]["code"] == "container_bad_response"
    starts = [event for event in allowing.events(rollout_id) if event["event"] == "rollout.started"]
    assert len(starts) == 1


@pytest.mark.system
@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["/nowhere/at/all"], "could not be started"),
        (FAILS, "ended with status"),
        ([sys.executable, SMALL, "{port}", "deaf"], "was not healthy within 10 seconds"),
    ],
)
def test_one_that_never_gets_healthy(allowing: Server, argv: list[str], says: str) -> None:
    config = {"process": {"argv": argv, "start_timeout_seconds": 10}}
    pool_id = allowing.pool(config=config)
    pool = until(allowing, pool_id, "failed")
    error = pool["error"]
    assert error["code"] == "process_not_healthy"
    assert says in error["message"]
    if argv == FAILS:
        assert error["details"] == {"output": ["one", "the cause"], "exit_code": 1}
    else:
        assert error["details"]["exit_code"] is None
    if argv[-1] == "deaf":
        assert error["details"]["output"][0].startswith("listening at")
    refused = allowing.refused(
        "POST", f"/v1/pools/{pool_id}/rollouts", 409, "pool_not_active", json={}
    )
    assert "retryable" not in refused["error"]
    allowing.refused("POST", f"/v1/pools/{pool_id}/pause", 409, "pool_not_active")
    container = f"/v1/pools/{pool_id}/container"
    nothing = allowing.refused("GET", f"{container}/health", 502, "container_unreachable")
    assert nothing["error"]["retryable"] is True
    eventually(lambda: not containers(allowing, pool_id))
    # Resuming tries it again once the cause is removed.
    resumed = allowing.post(f"/v1/pools/{pool_id}/resume")
    assert (resumed["status"], resumed["error"]) == ("warming", None)
    until(allowing, pool_id, "failed")
    allowing.call("PATCH", f"/v1/pools/{pool_id}", json={"config": {"process": process()}})
    assert allowing.get(f"/v1/pools/{pool_id}")["status"] == "failed"
    allowing.post(f"/v1/pools/{pool_id}/resume")
    assert until(allowing, pool_id, "active")["error"] is None
    assert allowing.run(pool_id)["status"] == "completed"


def test_capacity_changes_while_it_runs(allowing: Server, tmp_path: Path) -> None:
    pool_id = start_pool(allowing, capacity=1, concurrency=8)
    path = f"/v1/pools/{pool_id}"
    [first] = healthy(allowing, pool_id, 1)
    assert allowing.call("PATCH", path, json={"capacity": 3})["status"] == "active"
    assert first["pid"] in {container["pid"] for container in healthy(allowing, pool_id, 3)}
    ids = [allowing.rollout(pool_id, params=held(tmp_path))["id"] for _ in range(6)]
    for rollout_id in ids:
        allowing.until(rollout_id, "running")
    allowing.call("PATCH", path, json={"capacity": 1})
    # Processes that must end finish their rollouts, and get nothing new.
    [stays] = eventually(
        lambda: [
            container
            for container in containers(allowing, pool_id)
            if container["health"] == "healthy"
        ]
    )[:1]
    (tmp_path / "go").touch()
    assert all(allowing.until(rollout_id)["status"] == "completed" for rollout_id in ids)
    [remaining] = healthy(allowing, pool_id, 1)
    assert remaining["pid"] == stays["pid"]
    assert allowing.run(pool_id)["result"]["pid"] == remaining["pid"]


def test_another_command_takes_over(allowing: Server, tmp_path: Path) -> None:
    pool_id = start_pool(allowing, capacity=2, concurrency=8)
    path = f"/v1/pools/{pool_id}"
    old = {container["pid"] for container in healthy(allowing, pool_id, 2)}
    running = allowing.rollout(pool_id, params=held(tmp_path))["id"]
    allowing.until(running, "running")
    patch = {"config": {"process": process(env={"COLOUR": "red"})}}
    assert allowing.call("PATCH", path, json=patch)["status"] == "active"
    new = allowing.run(pool_id)["result"]
    assert new["environment"]["COLOUR"] == "red"
    assert new["pid"] not in old
    (tmp_path / "go").touch()
    # The one that was under way was not disturbed.
    assert allowing.until(running)["result"]["pid"] in old
    assert old.isdisjoint(container["pid"] for container in healthy(allowing, pool_id, 2))
    # A PUT without processes ends them, and the echo target runs the rollouts.
    started = [psutil.Process(pid) for pid in pids(allowing, pool_id)]
    allowing.call("PUT", path, json={"name": "without"})
    assert allowing.run(pool_id)["result"]["echo"] is not None
    assert gone(started)


def test_a_command_that_does_not_work_costs_no_rollout(allowing: Server, tmp_path: Path) -> None:
    pool_id = start_pool(allowing)
    old = {pid: psutil.Process(pid) for pid in pids(allowing, pool_id)}
    running = allowing.rollout(pool_id, params=held(tmp_path))["id"]
    allowing.until(running, "running")
    broken = {"argv": ["/nowhere/at/all"], "start_timeout_seconds": 0.1}
    allowing.call("PATCH", f"/v1/pools/{pool_id}", json={"config": {"process": broken}})
    until(allowing, pool_id, "failed")
    (tmp_path / "go").touch()
    final = allowing.until(running)
    assert final["error"] is None
    assert final["result"]["pid"] in old
    assert gone(list(old.values()))


def test_a_pool_that_gets_processes_later(allowing: Server, tmp_path: Path) -> None:
    pool_id, gate = allowing.pool(), tmp_path / "gate"
    later = {"config": {"process": gated(gate)}}
    allowing.call("PATCH", f"/v1/pools/{pool_id}", json=later)
    assert allowing.get(f"/v1/pools/{pool_id}")["status"] == "active"
    # It waits for the process, and is not given to the echo target meanwhile.
    rollout_id = allowing.rollout(pool_id)["id"]
    gate.touch()
    assert "pid" in allowing.until(rollout_id)["result"]


def test_deleting_ends_them_with_all_that_they_started(allowing: Server) -> None:
    pool_id = start_pool(allowing, "child", "stray", capacity=2)
    started = [process for two in healthy(allowing, pool_id, 2) for process in family(two["pid"])]
    assert len(started) == 6
    allowing.call("DELETE", f"/v1/pools/{pool_id}")
    assert gone(started)
    eventually(lambda: not containers(allowing, pool_id))


def test_one_that_does_not_listen_is_killed(allowing: Server) -> None:
    pool_id = start_pool(allowing, "stubborn")
    [container] = healthy(allowing, pool_id, 1)
    started = family(container["pid"])
    started_at = time.monotonic()
    allowing.call("DELETE", f"/v1/pools/{pool_id}")
    assert gone(started)
    assert 4.5 < time.monotonic() - started_at < 60


def test_a_flood_of_output_blocks_nobody(allowing: Server) -> None:
    pool_id = start_pool(allowing, "flood")
    [container] = healthy(allowing, pool_id, 1)
    before = psutil.Process().memory_info().rss
    for _ in range(5):
        assert allowing.run(pool_id)["status"] == "completed"
        time.sleep(0.2)
    assert psutil.Process().memory_info().rss - before < 64 * 1024 * 1024
    started = family(container["pid"])
    allowing.call("DELETE", f"/v1/pools/{pool_id}")
    assert gone(started)


def test_the_environment_is_small(
    allowing: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SYNTH_API_KEY", "sk_never")
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    monkeypatch.setenv("CONTAINER_API_KEY", "the-key-of-the-containers")
    monkeypatch.setenv("LC_TIME", "C")
    env = {"AT": "http://127.0.0.1:{port}/", "NUMBER": 5, "NOTHING": None}
    config = {"process": process(env=env, cwd=str(tmp_path))}
    pool_id = start_pool(allowing, config=config)
    [container] = healthy(allowing, pool_id, 1)
    result = allowing.run(pool_id)["result"]
    actual = dict(result["environment"])
    port = container["url"].rpartition(":")[2]
    assert result["cwd"] == os.path.realpath(tmp_path)
    assert actual.pop("SYNTH_POOLS_PROCESS")
    assert actual.pop("AT") == f"http://127.0.0.1:{port}/"
    assert (actual.pop("PORT"), actual.pop("NUMBER")) == (port, "5")
    assert actual.pop("LC_TIME") == "C"
    assert actual.pop("PATH") == os.environ["PATH"]
    # Python adds LC_CTYPE by itself where no locale is set.
    allowed = {"HOME", "LANG", "TMPDIR", "TZ"}
    assert {name for name in actual if not name.startswith("LC_")} <= allowed
    # With the name of a key: the processes get it, and are sent it.
    patch = {"config": {"container_key_env": "CONTAINER_API_KEY"}}
    allowing.call("PATCH", f"/v1/pools/{pool_id}", json=patch)
    answer = allowing.run(pool_id)
    assert answer["status"] == "completed", answer
    assert "the-key-of-the-containers" not in str(answer)
    environment = psutil.Process(answer["result"]["pid"]).environ()
    assert environment["ENVIRONMENT_API_KEY"] == "the-key-of-the-containers"
    assert "CONTAINER_API_KEY" not in environment


def test_the_key_is_not_told_by_what_a_process_prints(
    allowing: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONTAINER_API_KEY", "the-key-of-the-containers")
    argv = ["sh", "-c", 'echo "key $ENVIRONMENT_API_KEY"; exit 78']
    config: dict[str, Any] = {
        "container_key_env": "CONTAINER_API_KEY",
        "process": {"argv": argv, "start_timeout_seconds": 60},
    }
    error = until(allowing, allowing.pool(config=config), "failed")["error"]
    assert error["details"] == {"output": ["key ***"], "exit_code": 78}
