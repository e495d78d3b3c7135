"""Image releases: pools and tasks whose containers are of an image, by its digest."""

from __future__ import annotations

import shlex
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.oci.test_images import ended_warming, names_of
from tests.support.backend_server import Server, eventually, serve
from tests.support.oci import IMAGE, EngineUnderTest, image
from tests.support.process_pools import containers, healthy

Small = Callable[..., dict[str, Any]]
# One name, which a test gives to another image.
MOVING = "localhost/moving-container:latest"
COMMAND = shlex.join(image()["command"])


@pytest.fixture
def moving(engine: EngineUnderTest) -> Iterator[Callable[[str], None]]:
    """Give the name to an image whose variable COLOUR has this value."""

    def move(colour: str) -> None:
        name = engine.say("create", IMAGE, "nothing").splitlines()[-1]
        engine.say("commit", "--change", f"ENV COLOUR={colour}", name, MOVING)
        engine.say("rm", name)

    yield move
    engine.say("rmi", "--force", MOVING, check=False)


def release(server: Server, pool_id: str, reference: str = MOVING, **fields: Any) -> Any:
    """Create a release whose containers serve rollouts."""
    body = {"source_kind": "image_ref", "image_ref": reference, "entrypoint": COMMAND, **fields}
    path = f"/v1/pools/{pool_id}/runtime_image_releases"
    return server.post(path, {"env_vars": {"HOST": "0.0.0.0"}, **body}, 201)


def bind(server: Server, pool_id: str, release_id: str, task: str = "", **query: str) -> Any:
    """Bind the only task of a pool to a release, or the one at a path like `/tasks/t`."""
    path = f"/v1/pools/{pool_id}{task}/runtime_image_releases/{release_id}/bind"
    return server.call("POST", path, params=query)


def config_of(engine: EngineUnderTest, small: Small) -> dict[str, Any]:
    """Return the settings of a pool that names its engine only where it is not the usual one."""
    return {} if engine.name == "podman" else {"image": small()}


def environment(server: Server, pool_id: str, **request: Any) -> Any:
    assert ended_warming(server, pool_id)["status"] == "active"
    done = server.run(pool_id, **request)
    assert done["status"] == "completed", done["error"]
    return done["result"]["environment"]


def digests(server: Server, pool_id: str) -> set[str]:
    return {container["image_digest"] for container in containers(server, pool_id)}


def test_a_release_keeps_its_image_and_takes_over_one_by_one(
    small: Small, allowing: Server, engine: EngineUnderTest, moving: Callable[[str], None]
) -> None:
    pool_id = allowing.pool(
        config={"image": small(env={"MORE": "pool"}, port=8123)}, tasks=[{"task_id": "t"}]
    )
    first = ended_warming(allowing, pool_id)["config"]["image"]
    [former] = healthy(allowing, pool_id, 1)
    running = allowing.rollout(pool_id, params={"until": "/tmp/go"})["id"]
    allowing.until(running, "running")
    moving("blue")
    blue = release(allowing, pool_id, name="first", metadata={"a": 1}, ours="kept")
    assert (blue["id"], blue["status"], blue["name"]) == (blue["release_id"], "ready", "first")
    assert (blue["metadata"], blue["ours"], blue["pool_id"]) == ({"a": 1}, "kept", pool_id)
    moving("green")
    green = release(allowing, pool_id, env_vars={"HOST": "0.0.0.0", "OWN": "green"})
    assert green["resolved_digest"] != blue["resolved_digest"]
    path = f"/v1/pools/{pool_id}/runtime_image_releases"
    assert allowing.get(path)["items"] == [green, blue]
    assert allowing.get(f"{path}/{blue['id']}") == blue

    # The name is that of another image by now.
    bound = bind(allowing, pool_id, blue["id"], expected_release_id="")
    assert bound == {"pool_id": pool_id, "task_id": "t", "release_id": blue["id"]}
    eventually(lambda: blue["resolved_digest"] in digests(allowing, pool_id))
    variables = eventually(
        lambda: (
            actual if (actual := environment(allowing, pool_id)).get("COLOUR") == "blue" else None
        )
    )
    assert (variables["MORE"], variables["PORT"]) == ("pool", "8123")
    # A rollout that was under way ends on the container that it began on.
    assert allowing.get(f"/v1/rollouts/{running}")["status"] == "running"
    assert former["url"] in {item["url"] for item in containers(allowing, pool_id)}
    refused = allowing.refused("DELETE", f"{path}/{blue['id']}", 409, "release_bound")
    assert "'t'" in refused["error"]["message"]

    bind(allowing, pool_id, green["id"], "/tasks/t", expected_release_id=blue["id"])
    eventually(lambda: environment(allowing, pool_id).get("OWN") == "green")
    allowing.post(f"/v1/rollouts/{running}/cancel", {})
    eventually(lambda: digests(allowing, pool_id) == {green["resolved_digest"]})
    assert allowing.call("DELETE", f"{path}/{blue['id']}") == blue
    allowing.refused("GET", f"{path}/{blue['id']}", 404, "release_not_found")
    # Variables of a release end with it, those of the pool stay.
    moving("red")
    red = release(allowing, pool_id)
    bind(allowing, pool_id, red["id"])
    config = allowing.get(f"/v1/pools/{pool_id}")["config"]["image"]
    assert config["env"] == {"HOST": "0.0.0.0", "MORE": "pool"}
    # Where it ran before.
    unbound = allowing.call("POST", f"{path}/{red['id']}/unbind")
    assert unbound == {"pool_id": pool_id, "task_id": "t", "release_id": red["id"]}
    assert allowing.get(f"/v1/pools/{pool_id}")["config"]["image"] == first
    bind(allowing, pool_id, red["id"])
    # Another image in the definition ends the binding.
    allowing.call("PATCH", f"/v1/pools/{pool_id}", json={"config": {"image": {"image": IMAGE}}})
    assert allowing.call("DELETE", f"{path}/{red['id']}") == red
    allowing.call("DELETE", f"/v1/pools/{pool_id}")
    allowing.refused("POST", path, 409, "pool_archived", json={**red, "image_ref": MOVING})
    eventually(lambda: not names_of(engine, pool_id))


def test_of_several_tasks_each_has_containers_of_its_own(
    small: Small, allowing: Server, engine: EngineUnderTest, moving: Callable[[str], None]
) -> None:
    tasks = ("one", "two", "none")
    config = config_of(engine, small)
    pool_id = allowing.pool(config=config, tasks=[{"task_id": name} for name in tasks])
    assert ended_warming(allowing, pool_id)["status"] == "active"
    releases = []
    for colour in ("blue", "green"):
        moving(colour)
        releases.append(release(allowing, pool_id))
    refused = f"/v1/pools/{pool_id}/runtime_image_releases/{releases[0]['id']}/bind"
    allowing.refused("POST", refused, 409, "single_task_required")
    for task, bound in zip(("one", "two"), releases, strict=True):
        bind(allowing, pool_id, bound["id"], f"/tasks/{task}")
    assert environment(allowing, pool_id, task_id="one")["COLOUR"] == "blue"
    assert environment(allowing, pool_id, task_id="two")["COLOUR"] == "green"
    unbound = allowing.run(pool_id, task_id="none")
    assert (unbound["status"], unbound["result"].get("pid")) == ("completed", 1 if config else None)
    assert digests(allowing, pool_id) >= {bound["resolved_digest"] for bound in releases}
    urls = {
        task["task_id"]: task["container_url"]
        for task in allowing.get(f"/v1/pools/{pool_id}/urls")["task_urls"]
    }
    assert len({urls[name] for name in tasks}) == 3
    assert allowing.get(f"/v1/pools/{pool_id}/tasks/one/container/health")["status"] == "ok"
    processes = allowing.get(f"/v1/pools/{pool_id}/logs")["processes"]
    assert [process["process"] for process in processes] == list(range(2 + len(config)))
    # A task is bound to another release without a gap; containers of a deleted task end.
    bind(allowing, pool_id, releases[1]["id"], "/tasks/one", expected_release_id=releases[0]["id"])
    eventually(lambda: environment(allowing, pool_id, task_id="one")["COLOUR"] == "green")
    allowing.call("DELETE", f"/v1/pools/{pool_id}/tasks/two")
    eventually(lambda: len(names_of(engine, pool_id)) == 1 + len(config))
    allowing.call("DELETE", f"/v1/pools/{pool_id}/runtime_image_releases/{releases[0]['id']}")
    allowing.post(f"/v1/pools/{pool_id}/pause", None)
    eventually(lambda: not names_of(engine, pool_id))
    allowing.post(f"/v1/pools/{pool_id}/resume", None)
    assert environment(allowing, pool_id, task_id="one")["COLOUR"] == "green"
    allowing.call("DELETE", f"/v1/pools/{pool_id}")
    eventually(lambda: not names_of(engine, pool_id))


def test_of_two_that_bind_at_once_one_is_refused(
    small: Small, allowing: Server, engine: EngineUnderTest, moving: Callable[[str], None]
) -> None:
    pool_id = allowing.pool(config=config_of(engine, small), tasks=[{"task_id": "t"}])
    moving("blue")
    ids = [release(allowing, pool_id)["id"] for _ in range(4)]
    statuses: dict[str, int] = {}
    codes: list[str] = []

    def race(release_id: str) -> None:
        path = f"/v1/pools/{pool_id}/tasks/t/runtime_image_releases/{release_id}/bind"
        response = allowing.send("POST", path, params={"expected_release_id": ""})
        statuses[release_id] = response.status_code
        codes.append(response.json().get("error", {}).get("code"))

    threads = [threading.Thread(target=race, args=(release_id,)) for release_id in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses.values()) == [200, 409, 409, 409]
    assert sorted(filter(None, codes)) == ["release_mismatch"] * 3
    [winner] = [release_id for release_id, status in statuses.items() if status == 200]
    bind(allowing, pool_id, winner, expected_release_id=winner)
    allowing.call("DELETE", f"/v1/pools/{pool_id}")


def test_what_cannot_be_a_release_is_not_stored(
    small: Small, allowing: Server, engine: EngineUnderTest
) -> None:
    pool_id = allowing.pool(config={"image": small()}, tasks=[{"task_id": "t"}])
    path = f"/v1/pools/{pool_id}/runtime_image_releases"
    for fields in (
        {"image_ref": "localhost:9/nowhere/none:1"},
        {"image_ref": "/etc/passwd"},
        {"image_ref": "--help"},
        {},
        {"image_ref": IMAGE, "env_vars": {"A=B": "x"}},
        {"image_ref": IMAGE, "limits": {"memory_mb": "a lot"}},
    ):
        body = {"source_kind": "image_ref", **fields}
        allowing.refused("POST", path, 409, "image_unavailable", json=body)
    body = {"source_kind": "docker_context", "archive_base64": ""}
    allowing.refused("POST", path, 501, "not_implemented", json=body)
    assert allowing.get(path)["items"] == []
    # A release of one pool is none of another.
    stored = release(allowing, pool_id, IMAGE)
    other_id = allowing.pool(tasks=[{"task_id": "t"}])
    for method, end in (("GET", ""), ("DELETE", ""), ("POST", "/bind"), ("POST", "/unbind")):
        elsewhere = f"/v1/pools/{other_id}/runtime_image_releases/{stored['id']}{end}"
        allowing.refused(method, elsewhere, 404, "release_not_found")
    assert allowing.get(f"/v1/pools/{other_id}/runtime_image_releases")["items"] == []
    for archived_id in (pool_id, other_id):
        allowing.call("DELETE", f"/v1/pools/{archived_id}")
    eventually(lambda: not names_of(engine, pool_id))


def test_a_bound_task_is_still_bound_after_a_restart(
    small: Small, engine: EngineUnderTest, moving: Callable[[str], None], tmp_path: Any
) -> None:
    moving("blue")
    with serve(tmp_path, allow_images=True) as server:
        tasks = [{"task_id": "one"}, {"task_id": "two"}]
        pool_id = server.pool(config=config_of(engine, small), tasks=tasks)
        bound = release(server, pool_id)
        bind(server, pool_id, bound["id"], "/tasks/one")
        assert environment(server, pool_id, task_id="one")["COLOUR"] == "blue"
    assert names_of(engine, pool_id) == []
    with serve(tmp_path, allow_images=True) as server:
        assert environment(server, pool_id, task_id="one")["COLOUR"] == "blue"
        path = f"/v1/pools/{pool_id}/runtime_image_releases/{bound['id']}"
        server.refused("DELETE", path, 409, "release_bound")
    # Without the permission the pool says so, in place of rollouts that wait for ever.
    with serve(tmp_path) as server:
        pool = server.get(f"/v1/pools/{pool_id}")
        assert (pool["status"], pool["error"]["code"]) == ("failed", "images_not_allowed")
        assert server.get(f"/v1/pools/{pool_id}/runtime_image_releases")["items"] == []
