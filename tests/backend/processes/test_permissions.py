"""Pools that name an image: permissions of the operator, and needs of the machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from synth_pools.backend.errors import BadOptionError
from synth_pools.backend.processes.image_spec import SOCKET_PATH, ImageSpec
from synth_pools.local import LocalBackend
from tests.support.backend_server import Server, serve
from tests.support.process_pools import process, until

IMAGE: dict[str, Any] = {"image": "registry.example.com/solver:1"}


@pytest.fixture
def no_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """A PATH without engines, and a function that puts one on it which never works."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def install(name: str) -> None:
        (folder / name).write_text(
            "#!/bin/sh\necho warning: old >&2\necho Error: broken >&2\nexit 1\n"
        )
        (folder / name).chmod(0o755)

    return install


def test_it_is_off_unless_it_was_asked_for(server: Server) -> None:
    assert server.get("/v1/capabilities")["features"]["images"] is False
    body = {"name": "p", "config": {"image": IMAGE}}
    refused = server.refused("POST", "/v1/pools", 403, "images_not_allowed", json=body)
    assert "--allow-images" in refused["error"]["message"]
    path = f"/v1/pools/{server.pool()}"
    server.refused("PUT", path, 403, "images_not_allowed", json=body)
    server.refused("PATCH", path, 403, "images_not_allowed", json={"config": {"image": IMAGE}})
    assert server.get(path)["status"] == "active"
    # Null is the same as not given.
    server.call("PATCH", path, json={"config": {"image": None}})


@pytest.mark.parametrize(
    "config",
    [
        {"process": {"argv": ["true"], "launcher": "ray"}},
        {"image": {"image": "python", "launcher": "ray"}},
    ],
)
def test_ray_is_off_unless_a_cluster_was_named(
    start: Callable[..., Server], config: dict[str, Any]
) -> None:
    # Permissions for this machine say nothing about others.
    server = start(allow_processes=True)
    assert server.get("/v1/capabilities")["features"]["ray"] is False
    body = {"name": "p", "config": config}
    refused = server.refused("POST", "/v1/pools", 403, "ray_not_allowed", json=body)
    assert "--ray" in refused["error"]["message"]
    path = f"/v1/pools/{server.pool()}"
    server.refused("PUT", path, 403, "ray_not_allowed", json=body)
    server.refused("PATCH", path, 403, "ray_not_allowed", json={"config": config})


@pytest.mark.parametrize(
    "placement",
    [
        {"num_cpus": -1},
        {"num_gpus": "one"},
        {"resources": {"disk": "much"}},
        {"labels": {"room": 1}},
        [],
    ],
)
def test_a_placement_has_to_be_one(server: Server, placement: Any) -> None:
    process = {"argv": ["true"], "launcher": "ray", "placement": placement}
    body = {"name": "p", "config": {"process": process}}
    server.refused("POST", "/v1/pools", 422, "validation_failed", json=body)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"image": ""},
        {"image": "-v/:/host"},
        {"image": "dir:/etc"},
        {"image": "a b"},
        {**IMAGE, "launcher": "kubernetes"},
        {**IMAGE, "network": "host"},
        {**IMAGE, "memory_mb": 1},
        {**IMAGE, "pids": 0},
        {**IMAGE, "cpus": 0},
        {**IMAGE, "warm": 0},
        {**IMAGE, "port": 65536},
        {**IMAGE, "env": {"A=B": "x"}},
        {**IMAGE, "mounts": [{"source": "data", "target": "/data"}]},
        {**IMAGE, "mounts": [{"source": "/a:/etc", "target": "/data"}]},
        {**IMAGE, "mounts": [{"source": "/a", "target": "/data:rw"}]},
        {**IMAGE, "mounts": [{"source": "/a", "target": "/data,rw"}]},
    ],
)
def test_what_is_no_image(server: Server, fields: dict[str, Any]) -> None:
    body = {"name": "p", "config": {"image": fields}}
    server.refused("POST", "/v1/pools", 422, "validation_failed", json=body)


def test_a_machine_without_an_engine(
    no_engine: Callable[[str], None], start: Callable[..., Server], tmp_path: Path
) -> None:
    backend = LocalBackend(tmp_path / "data", allow_images=True)
    with pytest.raises(BadOptionError, match="podman or docker is not on the PATH"):
        backend.start()
    no_engine("docker")
    server = start(allow_images=True)
    body = {"name": "p", "config": {"image": {**IMAGE, "launcher": "podman"}}}
    refused = server.refused("POST", "/v1/pools", 409, "engine_unavailable", json=body)
    assert "podman is not on the PATH" in refused["error"]["message"]


def test_an_engine_that_does_not_work(
    no_engine: Callable[[str], None], tmp_path: Path, start: Callable[..., Server]
) -> None:
    no_engine("docker")
    backend = start(allow_images=True)
    pool_id = backend.pool(config={"image": IMAGE})
    error = until(backend, pool_id, "failed")["error"]
    assert error["code"] == "engine_unavailable"
    assert error["message"] == "docker does not work: broken"
    # One that could not be had then may be there by the next start.
    backend.post(f"/v1/pools/{pool_id}/resume")
    until(backend, pool_id, "failed")


def test_a_process_and_an_image_in_one_pool(
    no_engine: Callable[[str], None], start: Callable[..., Server]
) -> None:
    no_engine("podman")
    backend = start(allow_images=True, allow_processes=True)
    both = {"process": process(), "image": IMAGE}
    body = {"name": "p", "config": both}
    backend.refused("POST", "/v1/pools", 409, "config_conflict", json=body)
    pool_id = backend.pool(config={"process": process()})
    patch = {"config": {"image": IMAGE}}
    backend.refused("PATCH", f"/v1/pools/{pool_id}", 409, "config_conflict", json=patch)
    backend.call(
        "PATCH", f"/v1/pools/{pool_id}", json={"config": {"image": IMAGE, "process": None}}
    )


def test_a_pool_whose_image_is_allowed_no_more(
    no_engine: Callable[[str], None], tmp_path: Path
) -> None:
    no_engine("podman")
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    with serve(data_dir, allow_images=True) as backend:
        pool_id = backend.pool(config={"image": IMAGE})
        until(backend, pool_id, "failed")
        backend.post(f"/v1/pools/{pool_id}/pause", status=409)
    with serve(data_dir) as backend:
        backend.refused("POST", f"/v1/pools/{pool_id}/resume", 403, "images_not_allowed")
    # It is tried again where it may be.
    with serve(data_dir, allow_images=True) as backend:
        until(backend, pool_id, "failed")


def test_folders_of_mounts_that_do_not_exist(tmp_path: Path) -> None:
    with pytest.raises(BadOptionError, match="mount_folders takes folders that exist"):
        LocalBackend(mount_folders=[tmp_path / "nothing"])
    with pytest.raises(BadOptionError, match="a list of folders"):
        LocalBackend(mount_folders=str(tmp_path))


def test_a_specification_of_an_image() -> None:
    fields = {**IMAGE, "command": ["serve", "{port}", "{x}"], "env": {"A": "{socket}", "B": 1}}
    spec = ImageSpec.of({"config": {"image": fields}})
    assert spec is not None
    assert spec.arguments(80) == ["serve", "80", "{x}"]
    assert spec.variables(80) == {"A": "{socket}", "B": "1", "PORT": "80"}
    spec = ImageSpec.of({"config": {"image": {**fields, "network": "none"}}})
    assert spec is not None
    assert spec.variables(80) == {"A": SOCKET_PATH, "B": "1", "SOCKET": SOCKET_PATH}
    # Running containers stay if only the number of warm ones changes.
    warmer = ImageSpec.of({"config": {"image": {**fields, "network": "none", "warm": 2}}})
    assert spec == warmer
    assert warmer is not None
    assert warmer.warm == 2


@pytest.mark.parametrize("image", [None, 1, [], {}, {"image": 1}])
def test_a_definition_of_before_this_was_a_field(image: Any) -> None:
    assert ImageSpec.of({"config": {"image": image}}) is None
