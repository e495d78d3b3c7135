"""Pools whose containers are started from an image, on a real engine."""

from __future__ import annotations

import contextlib
import json
import signal
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from synth_pools.backend.processes import pool as pool_module
from tests.cli.local.test_serve import serve as serve_command
from tests.support.backend_server import Server, eventually, serve
from tests.support.oci import IMAGE, EngineUnderTest, interpreter
from tests.support.process_pools import containers, healthy, is_stopping, until, watches_of
from tests.system.crash.processes import KEY, Serve

Small = Callable[..., dict[str, Any]]
OTHER = ("--label", "synth-pools.backend=of-another")
SLEEP = "import time; time.sleep(600)"


def start_pool(server: Server, config: dict[str, Any], **fields: Any) -> str:
    """An active pool of this image."""
    pool_id = server.pool(config={"image": config}, **fields)
    pool = ended_warming(server, pool_id)
    assert pool["status"] == "active", pool["error"]
    return pool_id


def ended_warming(server: Server, pool_id: str) -> Any:
    """The pool, once it is up or has failed."""

    def look() -> Any:
        pool = server.get(f"/v1/pools/{pool_id}")
        return None if pool["status"] == "warming" else pool

    return eventually(look)


def value(server: Server, pool_id: str, expression: str) -> Any:
    """The value of an expression inside a container."""
    return server.run(pool_id, params={"value": expression})["result"]["value"]


def enforces(engine: EngineUnderTest) -> bool:
    """Return True if the engine can enforce limits here."""
    described = json.loads(engine.say("info", "--format", "{{json .}}"))
    if engine.name == "docker":
        return bool(described["MemoryLimit"])
    host = described["host"]
    is_new = host["cgroupVersion"] == "v2"
    return "memory" in host["cgroupControllers"] and (is_new or not host["security"]["rootless"])


def command_lines() -> Iterator[str]:
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            yield " ".join(process.cmdline())


def names_of(engine: EngineUnderTest, pool_id: str) -> list[str]:
    label = f"label=synth-pools.pool={pool_id}"
    return engine.say("ps", "--filter", label, "--format", "{{.Names}}").split()


def lines(server: Server, pool_id: str) -> list[str]:
    page = server.get(f"/v1/pools/{pool_id}/logs")
    return [line["text"] for line in page["lines"]]


@pytest.mark.parametrize("network", ["loopback", "none"])
def test_a_pool_runs_its_rollouts_in_containers(
    small: Small, allowing: Server, engine: EngineUnderTest, network: str
) -> None:
    image = small(network=network)
    pool_id = start_pool(allowing, image, capacity=2)
    pool = allowing.get(f"/v1/pools/{pool_id}")
    assert pool["config"]["image"] == pool["pool_config"]["image"] == image
    actual = healthy(allowing, pool_id, 2)
    # Docker has no digest for an image that was never in a registry.
    output = "{{.Digest}}" if engine.name == "podman" else "{{.Id}}"
    digest = engine.say("image", "inspect", "--format", output, IMAGE)
    assert {
        (container["launcher"], container["image_digest"], container["pid"]) for container in actual
    } == {(engine.name, digest, None)}
    assert all(container["node"] and container["restarts"] == 0 for container in actual)
    assert len(names_of(engine, pool_id)) == 2
    rollout = allowing.run(pool_id, seed=5)
    assert (rollout["status"], rollout["score"], rollout["result"]["pid"]) == ("completed", 5.0, 1)
    eventually(lambda: sum("listening" in line for line in lines(allowing, pool_id)) == 2)
    allowing.call("DELETE", f"/v1/pools/{pool_id}")
    eventually(lambda: not names_of(engine, pool_id))


def test_without_a_network_there_is_none(small: Small, allowing: Server) -> None:
    pool_id = start_pool(allowing, small(network="none"))
    assert value(allowing, pool_id, "[name for _, name in socket.if_nameindex()]") == ["lo"]
    call = f"socket.create_connection(('127.0.0.1', {allowing.port}), 5)"
    assert "ConnectionRefusedError" in value(allowing, pool_id, call)
    allowing.call("DELETE", f"/v1/pools/{pool_id}")


def test_one_that_ends_is_started_again(
    small: Small, allowing: Server, engine: EngineUnderTest
) -> None:
    pool_id = start_pool(allowing, small())
    [before] = names_of(engine, pool_id)
    engine.say("kill", before)
    [container] = eventually(
        lambda: [
            container for container in containers(allowing, pool_id) if container["restarts"] == 1
        ]
    )
    assert "signal 9" in container["last_error"]
    healthy(allowing, pool_id, 1)
    assert names_of(engine, pool_id) not in ([], [before])
    assert before not in engine.containers()
    assert allowing.run(pool_id)["status"] == "completed"
    allowing.call("DELETE", f"/v1/pools/{pool_id}")


def test_a_new_image_takes_over_one_by_one(
    small: Small, allowing: Server, engine: EngineUnderTest
) -> None:
    pool_id = start_pool(allowing, small(env={"COLOUR": "blue"}), capacity=2, concurrency=8)
    path = f"/v1/pools/{pool_id}"
    former = {container["url"] for container in healthy(allowing, pool_id, 2)}
    running = [allowing.rollout(pool_id, params={"until": "/tmp/go"})["id"] for _ in range(2)]
    for rollout_id in running:
        allowing.until(rollout_id, "running")
    # A container that never gets healthy replaces none that is.
    image = small("deaf", env={"COLOUR": "red"})
    allowing.call("PATCH", path, json={"config": {"image": image}})
    eventually(lambda: len(names_of(engine, pool_id)) == 3)
    assert allowing.run(pool_id)["result"]["environment"]["COLOUR"] == "blue"

    def serving() -> set[str]:
        actual = containers(allowing, pool_id)
        return {container["url"] for container in actual if container["health"] == "healthy"}

    assert serving() == former
    image = small(env={"COLOUR": "green"})
    body = {"capacity": 2, "concurrency": 8, "config": {"image": image}}
    assert allowing.call("PUT", path, json=body)["status"] == "active"
    # The former ones are listed as long as they run rollouts.
    eventually(lambda: len(serving() - former) == 2)
    assert allowing.run(pool_id)["result"]["environment"]["COLOUR"] == "green"
    # Both that were under way go on where they began.
    assert {allowing.get(f"{path}/rollouts/{item}")["status"] for item in running} == {"running"}
    for rollout_id in running:
        allowing.post(f"{path}/rollouts/{rollout_id}/cancel", {})
    eventually(lambda: len(names_of(engine, pool_id)) == 2)
    allowing.call("DELETE", path)
    eventually(lambda: not names_of(engine, pool_id))


def test_its_limits_are_enforced_or_refused(
    small: Small, allowing: Server, engine: EngineUnderTest
) -> None:
    pool_id = allowing.pool(config={"image": small(memory_mb=64, cpus=0.5, pids=24)})
    pool = ended_warming(allowing, pool_id)
    if not enforces(engine):
        # Limits that are not enforced are not promised.
        assert (pool["status"], pool["error"]["code"]) == ("failed", "engine_unavailable")
        assert "memory_mb" in pool["error"]["message"]
        return
    threads = "[threading.Thread(target=time.sleep, args=(5,)).start() for _ in range(64)]"
    assert "can't start new thread" in value(allowing, pool_id, threads)
    [name] = names_of(engine, pool_id)
    output = "{{.HostConfig.NanoCpus}} {{.HostConfig.MemorySwap}}"
    assert engine.say("inspect", "--format", output, name) == "500000000 67108864"
    final = allowing.run(pool_id, params={"value": "len(bytearray(256 << 20))"})
    assert final["status"] == "failed"
    [container] = eventually(
        lambda: [
            container for container in containers(allowing, pool_id) if container["restarts"] == 1
        ]
    )
    assert "more memory than it may have" in container["last_error"]
    healthy(allowing, pool_id, 1)
    # The engine's own files about it are only in the backend's folder.
    assert not Path("oom").exists()
    allowing.call("DELETE", f"/v1/pools/{pool_id}")


def test_what_is_mounted_can_be_read_and_not_written(
    small: Small, engine: EngineUnderTest, start: Callable[..., Server], tmp_path: Path
) -> None:
    shared, private = tmp_path / "shared", tmp_path / "private"
    shared.mkdir()
    private.mkdir()
    (shared / "data").write_text("in there")
    (private / "data").write_text("secret")
    (shared / "link").symlink_to(private)
    backend = start(allow_images=True, mount_folders=(shared,))

    def mounting(source: Path | str) -> dict[str, Any]:
        return small(mounts=[{"source": str(source), "target": "/data"}])

    for source in (private, shared / "link", f"{shared}/../private", "/"):
        body = {"name": "p", "config": {"image": mounting(source)}}
        backend.refused("POST", "/v1/pools", 403, "images_not_allowed", json=body)
    pool_id = start_pool(backend, mounting(shared))
    assert value(backend, pool_id, "Path('/data/data').read_text()") == "in there"
    assert "Read-only" in value(backend, pool_id, "Path('/data/data').write_text('x')")
    assert (shared / "data").read_text() == "in there"


def test_an_image_that_cannot_be_had(small: Small, allowing: Server) -> None:
    absent = "registry.invalid/nobody/nothing:1"
    pool_id = allowing.pool(config={"image": {**small(), "image": absent}})
    pool = ended_warming(allowing, pool_id)
    error = pool["error"]
    assert (pool["status"], error["code"]) == ("failed", "image_unavailable")
    assert error["message"].startswith(f"The image {absent} could not be pulled: ")
    assert "\n" not in error["message"]
    # The engine's messages are in the log of the container.
    assert any("registry.invalid" in line for line in lines(allowing, pool_id))


def test_a_command_that_the_image_does_not_have(small: Small, allowing: Server) -> None:
    # At once, not at the end of the time limit, since waiting would not help.
    config = small(start_timeout_seconds=600)
    pool_id = allowing.pool(config={"image": {**config, "command": ["/no/such/program"]}})
    pool = ended_warming(allowing, pool_id)
    assert (pool["status"], pool["error"]["code"]) == ("failed", "process_not_healthy")
    message = pool["error"]["message"]
    assert "could not be started" in message
    assert "/no/such/program" in message


def test_the_variables_of_a_container(
    small: Small,
    start: Callable[..., Server],
    engine: EngineUnderTest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ENVIRONMENT_API_KEY", "sk-of-the-container")
    monkeypatch.setenv("SYNTH_API_KEY", "sk-of-the-backend")
    backend = start(allow_images=True)
    config = small(env={"NAME": "a=b\nc {port}", "LD_PRELOAD": "/nowhere.so"}, port=8123)
    pool_id = backend.pool(config={"image": config, "container_key_env": "ENVIRONMENT_API_KEY"})
    assert ended_warming(backend, pool_id)["status"] == "active"
    result = backend.run(pool_id)["result"]
    environment = result["environment"]
    assert (environment["NAME"], environment["PORT"]) == ("a=b\nc 8123", "8123")
    # The value that the container got, masked where it is echoed.
    assert environment["ENVIRONMENT_API_KEY"] == "***"
    assert "SYNTH_API_KEY" not in environment
    commands = list(filter(lambda line: pool_id in line, command_lines()))
    assert commands
    assert not any("sk-of-the" in command for command in commands)


def test_no_process_of_the_engine_has_secrets_of_the_backend(
    small: Small, allowing: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret, proxy = f"sk_{uuid.uuid4().hex}", "http://proxy.invalid:3128"
    monkeypatch.setenv("SYNTH_POOLS_API_KEY", secret)
    monkeypatch.setenv("no_proxy", proxy)
    pool_id = start_pool(allowing, small())
    environments = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            environments.append(process.environ())
    assert any(proxy in variables.values() for variables in environments)
    assert not any(secret in variables.values() for variables in environments)
    assert allowing.run(pool_id)["status"] == "completed"


def test_a_pool_that_is_paused_has_none(
    small: Small, allowing: Server, engine: EngineUnderTest
) -> None:
    pool_id = start_pool(allowing, small())
    allowing.post(f"/v1/pools/{pool_id}/pause")
    eventually(lambda: not names_of(engine, pool_id))
    queued = allowing.get(f"/v1/pools/{pool_id}")
    assert queued["status"] == "paused"
    allowing.post(f"/v1/pools/{pool_id}/resume")
    until(allowing, pool_id, "active")
    assert allowing.run(pool_id)["status"] == "completed"
    allowing.call("DELETE", f"/v1/pools/{pool_id}")


def test_some_are_warm_ahead_of_demand(
    small: Small, allowing: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "_SPARE_SECONDS", 0.5)
    pool_id = start_pool(allowing, small(warm=1), capacity=3)
    healthy(allowing, pool_id, 1)
    holder = [allowing.rollout(pool_id, params={"until": "/tmp/go"})["id"]]
    allowing.until(holder[0], "running")
    healthy(allowing, pool_id, 2)
    holder.append(allowing.rollout(pool_id, params={"until": "/tmp/go"})["id"])
    allowing.until(holder[1], "running")
    # Never more than its capacity, one of which is still idle.
    third = healthy(allowing, pool_id, 3)
    assert sorted(container["running_rollouts"] for container in third) == [0, 1, 1]
    for rollout_id in holder:
        allowing.post(f"/v1/pools/{pool_id}/rollouts/{rollout_id}/cancel", {})
    healthy(allowing, pool_id, 1)
    assert allowing.run(pool_id)["status"] == "completed"
    allowing.call("DELETE", f"/v1/pools/{pool_id}")


def test_what_a_killed_backend_leaves_is_removed_without_another_start(
    small: Small, engine: EngineUnderTest, watches: list[psutil.Process], tmp_path: Path
) -> None:
    backend = Serve(tmp_path / "data", tmp_path / "log", "--allow-images")
    backend.start()
    client = Server(backend.url, None)
    client.http.headers["authorization"] = f"Bearer {KEY}"
    # A container of another backend, which goes on.
    engine.say("run", "--detach", "--name", "other", *OTHER, IMAGE, interpreter(), "-c", SLEEP)
    with client.http:
        pool_id = start_pool(client, small("stubborn"), capacity=2)
        healthy(client, pool_id, 2)
        remaining = set(names_of(engine, pool_id))
        assert len(remaining) == 2
        [watch] = watches_of(backend.pid)
        watches.append(watch)
        backend.kill()
    eventually(lambda: remaining.isdisjoint(engine.containers()))
    assert "other" in engine.containers()
    engine.say("rm", "--force", "other")


def test_what_it_left_is_removed_by_its_next_start(
    small: Small, engine: EngineUnderTest, tmp_path: Path
) -> None:
    data_dir = tmp_path / "data"
    backend = Serve(data_dir, tmp_path / "log", "--allow-images")
    backend.start()
    client = Server(backend.url, None)
    client.http.headers["authorization"] = f"Bearer {KEY}"
    with client.http:
        pool_id = start_pool(client, small(network="none"), capacity=2)
        healthy(client, pool_id, 2)
        remaining = set(names_of(engine, pool_id))
        assert len(remaining) == 2
        [watch] = watches_of(backend.pid)
        watch.kill()
        watch.wait(20)
        backend.kill()
    assert remaining <= set(engine.containers())
    # Images need not be allowed any more, and containers of other backends stay.
    engine.say("run", "--detach", "--name", "other", *OTHER, IMAGE, interpreter(), "-c", SLEEP)
    with serve(data_dir) as restarted_server:
        assert remaining.isdisjoint(engine.containers())
        assert restarted_server.get(f"/v1/pools/{pool_id}")["error"]["code"] == "images_not_allowed"
    assert "other" in engine.containers()
    engine.say("rm", "--force", "other")
    assert not (data_dir / "sockets").exists()
    with serve(data_dir, allow_images=True) as restarted_server:
        until(restarted_server, pool_id, "active")
        assert restarted_server.run(pool_id)["status"] == "completed"


def test_they_end_with_a_backend_that_cannot_wait(
    small: Small, engine: EngineUnderTest, tmp_path: Path
) -> None:
    arguments = ["--port", "0", "--data-dir", str(tmp_path / "d"), "--allow-images"]
    with serve_command(tmp_path, *arguments, "--grace", "600") as serving:
        with serving.client() as client:
            server = Server(serving.url, None)
            server.http.headers["authorization"] = client.headers["authorization"]
            with server.http:
                pool_id = start_pool(server, small("stubborn"))
                holder = server.rollout(pool_id, params={"until": "/tmp/go"})["id"]
                server.until(holder, "running")
        names = names_of(engine, pool_id)
        serving.process.send_signal(signal.SIGINT)
        # It waits for running rollouts, and reports that it does.
        eventually(lambda: is_stopping(server))
        status, errors = serving.end(signal.SIGINT)
    assert status == 130
    assert "Traceback" not in errors
    eventually(lambda: set(names).isdisjoint(engine.containers()))
