"""The data directory: what is refused, what is never touched, and who may read what is in it."""

from __future__ import annotations

import hashlib
import logging
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from synth_pools.backend.api_keys import stored_key
from synth_pools.backend.errors import DataDirError
from synth_pools.backend.local_backend import LocalBackend
from synth_pools.backend.storage.contents.folder import content_file
from synth_pools.backend.storage.contents.store import FOLDER, LOST_FOLDER
from synth_pools.backend.storage.data_dir import FILE_NAME, KEY_FILE, LOCK_FILE, DataDir
from synth_pools.backend.storage.sqlite.backup import back_up
from tests.backend.storage.test_schema import make_version_1
from tests.support.backend_server import serve
from tests.support.commands import refusal_of
from tests.support.containers import http, odd_container

pytestmark = pytest.mark.sqlite

Snapshot = dict[str, tuple[int, bytes]]


def snapshot(folder: Path) -> Snapshot:
    """List what is in a folder, with modes and contents."""
    return {
        str(path.relative_to(folder)): (
            path.lstat().st_mode,
            os.fsencode(path.readlink())
            if path.is_symlink()
            else path.read_bytes()
            if path.is_file()
            else b"",
        )
        for path in sorted((folder, *folder.rglob("*")))
    }


def put(path: Path, content: str = "somebody's") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def unnamed(data_dir: Path, number: int) -> Path:
    """The content of an artifact that no rollout has."""
    content = f"nobody's {number}"
    return put(content_file(data_dir, hashlib.sha256(content.encode()).hexdigest()), content)


def leave_an_artifact(data_dir: Path) -> Path:
    """The file of a content that a rollout has."""
    content = "named" * 2000
    body = {"status": "completed", "artifact": [{"name": "1", "content": content}]}
    with serve(data_dir) as server, odd_container(lambda _: http(200, body)) as container:
        server.run(server.pool(container_url=container.url))
    return content_file(data_dir, hashlib.sha256(content.encode()).hexdigest())


def log_of_start(data_dir: Path, caplog: pytest.LogCaptureFixture) -> list[str]:
    """Start and stop a backend, and return what it logged."""
    caplog.clear()
    with caplog.at_level(logging.INFO, "synth_pools.backend"), LocalBackend(data_dir):
        pass
    return caplog.messages


@pytest.mark.parametrize(
    "names",
    [
        ["notes.txt"],
        ["lock", "notes.txt"],
        ["lock"],
        ["artifacts/report.pdf"],
        [f"artifacts/ab/{'ab' * 32}"],
        ["photos/1.jpg", KEY_FILE],
        [".git/config"],
    ],
    ids=str,
)
def test_a_directory_of_somebody_else_is_refused_untouched(
    tmp_path: Path, names: list[str]
) -> None:
    data_dir = tmp_path / "data"
    for name in names:
        put(data_dir / name)
    data_dir.chmod(0o755)
    before = snapshot(data_dir)
    line = refusal_of("serve", "--port=0", f"--data-dir={data_dir}")
    assert line.startswith(f"synth-pools: error: {data_dir}")
    assert "give" in line
    assert snapshot(data_dir) == before


def test_a_lock_of_somebody_else_beside_a_database(tmp_path: Path) -> None:
    with serve(tmp_path):
        pass
    put(tmp_path / LOCK_FILE, "somebody's words")
    before = (tmp_path / LOCK_FILE).read_bytes()
    with pytest.raises(DataDirError, match="no lock of a backend"):
        DataDir(tmp_path)
    assert (tmp_path / LOCK_FILE).read_bytes() == before


@pytest.mark.parametrize("name", [LOCK_FILE, FOLDER, LOST_FOLDER, FILE_NAME, f"{FILE_NAME}-wal"])
@pytest.mark.parametrize("is_dangling", [False, True], ids=["there", "dangling"])
def test_a_link_in_it_is_not_followed(tmp_path: Path, name: str, is_dangling: bool) -> None:
    data_dir, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    with DataDir(data_dir), serve(data_dir):
        pass
    target = elsewhere / name
    if not is_dangling:
        put(target / "file" if name in (FOLDER, LOST_FOLDER) else target)
    else:
        elsewhere.mkdir()
    (data_dir / name).unlink(missing_ok=True)
    (data_dir / name).symlink_to(target)
    before = snapshot(tmp_path)
    with pytest.raises(DataDirError, match=f"{name} is a symbolic link"):
        LocalBackend(data_dir).start()
    assert snapshot(tmp_path) == before


def test_a_link_inside_the_artifacts_is_not_followed(tmp_path: Path) -> None:
    data_dir, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    data_dir.mkdir()
    artifact = leave_an_artifact(data_dir)
    lone = unnamed(elsewhere, 1)
    (data_dir / FOLDER / lone.name[:2]).symlink_to(lone.parent)
    (artifact.parent / ("0" * 64)).symlink_to(lone)
    before = snapshot(elsewhere)
    with LocalBackend(data_dir):
        pass
    assert snapshot(elsewhere) == before


def test_a_link_to_it_is_followed_once(tmp_path: Path) -> None:
    link, first, second = (tmp_path / name for name in ("link", "first", "second"))
    first.mkdir(mode=0o755)
    second.mkdir()
    link.symlink_to(first)
    with LocalBackend(link) as backend, backend.client() as client:
        link.unlink()
        link.symlink_to(second)
        client.create_pool({"pool_id": "p", "name": "p"})
    assert stat.S_IMODE(first.stat().st_mode) == 0o700
    assert not any(second.iterdir())
    with LocalBackend(first) as backend, backend.client() as client:
        assert client.get_pool("p")["pool_id"] == "p"


@pytest.mark.parametrize("target", ["nowhere", "link"])
def test_a_link_that_leads_nowhere_is_refused(tmp_path: Path, target: str) -> None:
    (tmp_path / "link").symlink_to(tmp_path / target)
    with pytest.raises(DataDirError, match="is not a directory"):
        DataDir(tmp_path / "link")
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    "names",
    [[], ["lost+found/"], [LOCK_FILE], [LOCK_FILE, KEY_FILE], [KEY_FILE, f"{KEY_FILE}.new"]],
)
def test_what_a_start_that_was_cut_short_left_is_no_obstacle(
    tmp_path: Path, names: list[str]
) -> None:
    for name in names:
        if name.endswith("/"):
            (tmp_path / name).mkdir()
        else:
            put(tmp_path / name, {LOCK_FILE: "123\n"}.get(name, "sk_local_0123456789"))
    with LocalBackend(tmp_path) as backend, backend.client() as client:
        assert client.create_pool({"name": "p"})


def test_files_of_others_in_a_directory_of_ours_stay(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    artifact = leave_an_artifact(tmp_path)
    lone = [unnamed(tmp_path, number) for number in range(3)]
    contents = {path.name: path.read_bytes() for path in lone}
    draft = put(artifact.with_name(f"draft-{'0123456789abcdef' * 2}"))
    others = [
        put(tmp_path / name)
        for name in (
            "notes.txt",
            f"{FOLDER}/report.pdf",
            f"{FOLDER}/zz/{'ab' * 32}",
            f"{FOLDER}/{artifact.parent.name}/draft-of-a-book",
            f"{FOLDER}/{artifact.parent.name}/{'ff' * 31}",
            f"{FOLDER}/deep/{artifact.parent.name}/{artifact.name}",
            f"{FOLDER}/ab/{'cd' * 32}",
            f"{FOLDER}/{'AB' * 32}",
        )
    ]
    lines = log_of_start(tmp_path, caplog)
    assert artifact.exists()
    assert not draft.exists()
    assert all(path.read_text() == "somebody's" for path in others)
    assert not any(path.exists() for path in lone)
    moved = [path for path in (tmp_path / LOST_FOLDER).rglob("*") if path.is_file()]
    assert {path.name: path.read_bytes() for path in moved} == contents
    assert {stat.S_IMODE(path.stat().st_mode) for path in moved} == {0o600}
    [line] = [text for text in lines if LOST_FOLDER in text]
    assert "3 artifacts" in line
    assert not [text for text in log_of_start(tmp_path, caplog) if LOST_FOLDER in text]


def test_with_a_new_database_nothing_is_moved(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with DataDir(tmp_path):
        pass
    lone = unnamed(tmp_path, 1)
    draft = put(lone.with_name(f"draft-{'0123456789abcdef' * 2}"))
    lines = log_of_start(tmp_path, caplog)
    assert lone.exists()
    assert draft.exists()
    assert not (tmp_path / LOST_FOLDER).exists()
    assert [text for text in lines if "the database is new" in text]


def test_what_cannot_be_moved_stays_and_stops_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    artifact = leave_an_artifact(tmp_path)
    lone = unnamed(tmp_path, 1)
    put(tmp_path / LOST_FOLDER)  # where a folder should be
    lines = log_of_start(tmp_path, caplog)
    assert artifact.exists()
    assert lone.exists()
    assert (tmp_path / LOST_FOLDER).read_text() == "somebody's"
    [line] = [text for text in lines if LOST_FOLDER in text]
    assert "1 artifact" in line


def test_a_folder_of_artifacts_that_is_none_is_refused_in_one_line(tmp_path: Path) -> None:
    with serve(tmp_path):
        pass
    put(tmp_path / FOLDER)
    line = refusal_of("serve", "--port=0", f"--data-dir={tmp_path}")
    assert f"{FOLDER} is not a folder" in line


KILLED = """
import os, signal, sys
from pathlib import Path
from synth_pools.backend.storage.contents.folder import FolderContents

left = int(sys.argv[2])

def hook(event, arguments):
    global left
    if event in ("os.rename", "os.mkdir", "os.remove"):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

store = FolderContents(Path(sys.argv[1]))
sys.addaudithook(hook)
store.sweep(set())
"""


def test_a_kill_in_the_middle_of_the_move_loses_nothing(tmp_path: Path) -> None:
    contents = {}
    for number in range(4):
        path = unnamed(tmp_path, number)
        contents[path.name] = path.read_bytes()
    for steps in range(100):
        done = subprocess.run(
            [sys.executable, "-c", KILLED, str(tmp_path), str(steps)], timeout=60, check=False
        )
        files = [
            path
            for folder in (FOLDER, LOST_FOLDER)
            for path in (tmp_path / folder).rglob("*")
            if path.is_file()
        ]
        assert sorted(path.name for path in files) == sorted(contents)
        assert all(path.read_bytes() == contents[path.name] for path in files)
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
    assert steps > 0
    assert all(LOST_FOLDER in path.parts for path in files)


def test_of_many_starts_at_once_one_has_it(tmp_path: Path) -> None:
    data_dir = tmp_path / "deep" / "data"
    script = (
        "import sys\n"
        "from synth_pools.backend.errors import DataDirLockedError\n"
        "from synth_pools.backend.storage.data_dir import DataDir\n"
        "sys.stdin.readline()\n"
        "try:\n"
        "    DataDir(sys.argv[1])\n"
        "except DataDirLockedError:\n"
        "    print('locked', flush=True)\n"
        "else:\n"
        "    print('has it', flush=True)\n"
        "sys.stdin.readline()\n"
    )
    command = [sys.executable, "-c", script, str(data_dir)]
    pipe = subprocess.PIPE
    starts = [
        subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) for _ in range(6)
    ]
    for start in starts:
        assert start.stdin is not None
        start.stdin.write("go\n")
        start.stdin.flush()
    lines = [start.stdout.readline() for start in starts if start.stdout is not None]
    assert [start.communicate(timeout=60)[1] for start in starts] == [""] * len(starts)
    assert sorted(lines) == ["has it\n"] + ["locked\n"] * (len(starts) - 1)


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def modes(folder: Path) -> dict[str, str]:
    """List the modes with which others could do something with a file, or its owner could not."""
    wrong = {}
    for path in (folder, *folder.rglob("*")):
        mode = stat.S_IMODE(path.lstat().st_mode)
        if mode != (0o700 if path.is_dir() else 0o600):
            wrong[str(path)] = oct(mode)
    return wrong


def open_up(folder: Path) -> None:
    """Open the modes up, as an older backend left them, or a copy that loses modes."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o277, 0o777], ids=oct)
def test_all_of_it_is_private_whatever_the_umask(tmp_path: Path, mask: int) -> None:
    check_privacy(tmp_path, mask)


def test_it_is_private_from_the_first_byte_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by a change of modes afterwards."""
    for name in ("chmod", "fchmod", "lchmod"):
        monkeypatch.setattr(os, name, lambda *_, **__: None, raising=False)
    check_privacy(tmp_path, 0)


def check_privacy(tmp_path: Path, mask: int) -> None:
    """Use and back up a data directory under a umask, and check all modes."""
    data_dir = tmp_path / "parent" / "data"
    with umask(mask), DataDir(data_dir) as directory:
        stored_key(directory.key_file)
        leave_an_artifact(data_dir)
        with serve(data_dir) as server:
            server.pool()
            assert f"{FILE_NAME}-wal" in {path.name for path in data_dir.iterdir()}
            assert modes(data_dir.parent) == {}
            back_up(data_dir, tmp_path / "copies" / "copy")
    assert modes(tmp_path / "copies") == {}


def test_a_temporary_one_is_private_too() -> None:
    for mask in (0, 0o777):
        with umask(mask), DataDir() as data_dir:
            assert modes(data_dir.path) == {}
        assert not data_dir.path.exists()


def test_what_others_could_read_before_is_mended(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with DataDir(data_dir) as directory:
        key = stored_key(directory.key_file).reveal()
        leave_an_artifact(data_dir)
        with serve(data_dir) as server:
            pool_id = server.pool()
            killed = tmp_path / "killed"
            killed.mkdir()
            for file in [path for path in data_dir.rglob("*") if path.is_file()]:
                copy = killed / file.relative_to(data_dir)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(file.read_bytes())
    unnamed(killed, 1)
    notes = put(killed / "notes.txt")
    open_up(killed)
    back_up(killed, tmp_path / "copy")
    assert modes(tmp_path / "copy") == {}
    with LocalBackend(killed) as backend, backend.client() as client:
        assert backend.api_key == key
        assert client.get_pool(pool_id)["id"] == pool_id
        assert set(modes(killed)) == {str(notes)}  # it is somebody's own


def test_one_of_the_first_version_is_taken_and_mended(tmp_path: Path) -> None:
    make_version_1(tmp_path)
    put(tmp_path / LOCK_FILE, "123\n")
    open_up(tmp_path)
    with LocalBackend(tmp_path) as backend, backend.client() as client:
        assert client.list_pools()["items"]
        assert modes(tmp_path) == {}


def test_a_key_that_is_a_link_is_read_and_its_target_left_alone(tmp_path: Path) -> None:
    secret = put(tmp_path / "secrets" / "key", "sk_mounted_0123456789\n")
    secret.chmod(0o644)
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    (data_dir / KEY_FILE).symlink_to(secret)
    with DataDir(data_dir) as directory:
        assert stored_key(directory.key_file).reveal() == "sk_mounted_0123456789"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o644


def test_a_backup_follows_no_link(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    with serve(data_dir):
        pass
    put(data_dir / "own" / "notes.txt")
    (data_dir / "own" / "loop").symlink_to(data_dir)
    unnamed(data_dir, 1).rename(put(data_dir / LOST_FOLDER / "one"))
    os.mkfifo(data_dir / "pipe")
    back_up(data_dir, tmp_path / "copy")
    copied = {str(path.relative_to(tmp_path / "copy")) for path in (tmp_path / "copy").rglob("*")}
    assert copied == {FILE_NAME, "own", "own/notes.txt"}
