"""A folder of artifacts that is unmounted, moved, or another one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from synth_pools.backend.errors import DataDirError
from synth_pools.backend.storage.contents.store import FOLDER, ID_FILE
from tests.backend.artifacts.test_extraction import files
from tests.backend.artifacts.test_retention import content, is_kept, leave
from tests.support.backend_server import Server, eventually, serve
from tests.support.containers import http, odd_container


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    return folder


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    return data_dir


@pytest.mark.parametrize(
    "moved",
    [
        "the folder",
        "what is in it",
        "what is in the data directory",
        "a mount in the data directory",
    ],
)
def test_what_is_moved_away_while_it_is_in_use(
    folder: Path, data_dir: Path, failures: list[str], moved: str
) -> None:
    chosen: dict[str, Any] = {} if "data directory" in moved else {"artifacts_dir": folder}
    base = folder if chosen else data_dir
    place = base if moved == "the folder" else base / FOLDER
    with serve(data_dir, **chosen) as server:
        before = leave(server, 1)
        away = place.rename(folder.with_name("away"))
        if moved in ("the folder", "a mount in the data directory"):
            # As the empty folder at which it was mounted.
            place.mkdir()
        path = f"/v1/rollouts/{before['id']}/artifacts/1"
        server.refused("GET", path, 503, "storage_unavailable")
        body = {"reward": 1, "artifact": [{"name": "2", "content": content(2)}]}
        with odd_container(lambda _: http(200, body)) as container:
            pool_id = server.pool(container_url=container.url)
            waiting = server.rollout(pool_id)
            eventually(lambda: any("cannot be stored" in line for line in failures))
        assert server.state(waiting["id"]) == "running"
        # Nothing is written to where it was.
        assert not list(place.iterdir() if place.exists() else ())
        if place.exists():
            place.rmdir()
        away.rename(place)
        after = server.until(waiting["id"])
        assert is_kept(server, before, "1")
        assert is_kept(server, after, "2")
    assert all("was moved away, or is not mounted" in line for line in failures)
    failures.clear()


def test_a_start_without_the_artifacts_warns(
    data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with serve(data_dir) as server:
        rollout = leave(server, 1)
    away = (data_dir / FOLDER).rename(data_dir.with_name("away"))
    question = f"{data_dir / FOLDER} has no artifact of this database: is it mounted?"
    with serve(data_dir):
        assert question in caplog.messages
    caplog.clear()
    away.rename(data_dir / FOLDER)
    with serve(data_dir) as server:
        assert is_kept(server, rollout, "1")
        assert question not in caplog.messages


def test_another_folder_is_refused_at_the_start(folder: Path, data_dir: Path) -> None:
    with serve(data_dir, artifacts_dir=folder) as server:
        rollout = leave(server, 1)
    expected = (folder / ID_FILE).read_text().strip()
    another_folder = folder.with_name("other")
    another_folder.mkdir()
    refusal = f"mount it.* or write {expected} to {another_folder / ID_FILE}"
    for _ in range(2):
        with (
            pytest.raises(DataDirError, match=refusal),
            serve(data_dir, artifacts_dir=another_folder),
        ):
            pass
    # As the message says: they are given up, or were copied.
    (another_folder / ID_FILE).write_text(expected)
    with serve(data_dir, artifacts_dir=another_folder) as server:
        assert not is_kept(server, rollout, "1")
    with serve(data_dir, artifacts_dir=folder) as server:
        assert is_kept(server, rollout, "1")
        assert len(files(folder)) == 1


def test_a_folder_without_contents_may_be_replaced(folder: Path, data_dir: Path) -> None:
    another_folder = folder.with_name("other")
    another_folder.mkdir()
    with serve(data_dir, artifacts_dir=folder):
        pass
    with serve(data_dir, artifacts_dir=another_folder) as server:
        _check_kept(server)
    with serve(data_dir, artifacts_dir=another_folder) as server:
        _check_kept(server)


def _check_kept(server: Server) -> None:
    assert is_kept(server, leave(server, 1), "1")
