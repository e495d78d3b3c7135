"""Backends of an unprivileged user, on that user's engine."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.oci.test_images import ended_warming, names_of, start_pool
from tests.support.backend_server import Server, eventually
from tests.support.oci import EngineUnderTest, image, interpreter
from tests.support.process_pools import SMALL
from tests.support.unprivileged import Unprivileged, group_of_docker, unprivileged
from tests.system.crash.processes import KEY, Serve

TUN = "/dev/net/tun"
# A program that makes its socket writable for all, as uvicorn and gunicorn do.
OPEN = "import os, runpy; os.umask(0); runpy.run_path('/small_container.py', run_name='__main__')"
# The engine without user namespaces, which cannot be nested here.
NO_NAMESPACES = """
exec unshare --user --map-user={uid} --map-group={uid} --keep-caps sh -c '
    echo 0 >/proc/sys/user/max_user_namespaces &&
    exec setpriv --inh-caps=-all --ambient-caps=-all --bounding-set=-all {engine} "$@"
' sh "$@"
"""


@pytest.fixture(scope="module")
def user(engine: EngineUnderTest) -> Iterator[Unprivileged]:
    """A user of the engine, which has the image of the small container."""
    if os.getuid() != 0:
        pytest.skip("the tests are not root: all those of images are tests of this")
    groups = (group_of_docker(),) if engine.name == "docker" else ()
    with unprivileged(engine.name, *groups) as actual:
        if not actual.engine.is_there:
            pytest.skip(f"{engine.name} works for root alone: {actual.engine.complaint}")
        if engine.name == "podman":
            actual.engine.build(Path(SMALL))
        yield actual
        assert actual.engine.containers() == []


@contextlib.contextmanager
def backend_of(user: Unprivileged, tmp_path: Path, **variables: str) -> Iterator[Server]:
    """A backend that this user has started."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**user.engine.variables, **variables}.items():
            patch.setenv(name, value)
        data_dir = user.folder / f"data-{tmp_path.name}"
        backend = Serve(data_dir, tmp_path / "log", "--allow-images", before=user.before)
        backend.start()
    try:
        server = Server(backend.url, None)
        server.http.headers["authorization"] = f"Bearer {KEY}"
        with server.http:
            yield server
        backend.stop()
    finally:
        backend.end()


def small(user: Unprivileged, **fields: Any) -> dict[str, Any]:
    return image(launcher=user.engine.name, **fields)


def run_and_delete(server: Server, user: Unprivileged, pool_id: str) -> None:
    rollout = server.run(pool_id, seed=5)
    assert (rollout["status"], rollout["score"]) == ("completed", 5.0)
    server.call("DELETE", f"/v1/pools/{pool_id}")
    eventually(lambda: not names_of(user.engine, pool_id))


def test_rollouts_run_without_a_network(user: Unprivileged, tmp_path: Path) -> None:
    command = [interpreter(), "-c", OPEN, "{socket}"]
    with backend_of(user, tmp_path) as server:
        pool_id = start_pool(server, small(user, network="none", command=command))
        run_and_delete(server, user, pool_id)


def test_a_socket_that_root_alone_may_write_to(user: Unprivileged, tmp_path: Path) -> None:
    with backend_of(user, tmp_path) as server:
        pool_id = server.pool(config={"image": small(user, network="none")})
        if user.engine.name == "podman":
            # The root user of the container is the user of the backend there.
            assert ended_warming(server, pool_id)["status"] == "active"
            return

        def says_so() -> bool:
            page = server.get(f"/v1/pools/{pool_id}/logs")
            return any("let everybody write" in line["text"] for line in page["lines"])

        eventually(says_so)


def test_rollouts_run_with_a_network_or_it_is_said_what_helps(
    user: Unprivileged, tmp_path: Path
) -> None:
    lacks_pasta = user.engine.name == "podman" and shutil.which("pasta") is None
    lacks_tun = user.engine.name == "podman" and not user.may("-w", TUN)
    with backend_of(user, tmp_path) as server:
        if not (lacks_pasta or lacks_tun):
            run_and_delete(server, user, start_pool(server, small(user)))
            return
        pool_id = server.pool(config={"image": small(user, start_timeout_seconds=1)})
        error = ended_warming(server, pool_id)["error"]
    assert "could not be started" in error["message"]
    assert ("install passt" if lacks_pasta else TUN) in error["message"]
    assert '"network": "none"' in error["message"]
    assert "\n" not in error["message"]


def test_a_user_who_may_not_use_it_is_told_what_helps(user: Unprivileged, tmp_path: Path) -> None:
    engine = user.engine.name
    with contextlib.ExitStack() as stack:
        if engine == "docker":
            helps = "has to be in the group"
            other_user = stack.enter_context(unprivileged(engine))
        else:
            helps = "/proc/sys/user/max_user_namespaces"
            other_user = stack.enter_context(unprivileged(engine))
            script = NO_NAMESPACES.format(uid=user.uid, engine=shutil.which(engine))
            stack.enter_context(pytest.MonkeyPatch.context()).setenv(
                "PATH", other_user.wrap(script)
            )
        server = stack.enter_context(backend_of(other_user, tmp_path))
        pool_id = server.pool(config={"image": small(user)})
        pool = ended_warming(server, pool_id)
    assert (pool["status"], pool["error"]["code"]) == ("failed", "engine_unavailable")
    assert pool["error"]["message"].startswith(f"{engine} does not work: ")
    assert helps in pool["error"]["message"]
    assert "\n" not in pool["error"]["message"]


def test_docker_without_its_daemon_is_told_to_be_started(
    user: Unprivileged, tmp_path: Path
) -> None:
    if user.engine.name != "docker":
        pytest.skip("podman has no daemon")
    address = f"unix://{tmp_path}/socket"
    with backend_of(user, tmp_path, DOCKER_HOST=address) as server:
        pool_id = server.pool(config={"image": small(user)})
        error = ended_warming(server, pool_id)["error"]
    assert error["code"] == "engine_unavailable"
    assert address in error["message"]
    assert "systemctl start docker" in error["message"]
