"""Files of downloads, and the absence of leftovers after a failure."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from synth_pools import AsyncContainerPoolsClient, ClientClosedError, RequestValidationError
from tests.support.contents import CONTENT, names, serving
from tests.support.fault_server import FaultServer
from tests.support.surface import FILES, Call, Sent

pytestmark = pytest.mark.one_library

R, A = "rollout.1", "logs/out.bin"


@pytest.mark.parametrize(("call", "_sent"), FILES, ids=str)
async def test_a_folder_gets_a_file_of_a_safe_name(
    server: FaultServer, client: AsyncContainerPoolsClient, folder: Path, call: Call, _sent: Sent
) -> None:
    server.play(choose=serving())
    path = await call._replace(args=(*call.args, str(folder))).on(client)
    expected = {
        "agent_rollouts.download_artifact": "a b%.txt",
        "agent_rollouts.download_artifacts_zip": f"{R}-artifacts.zip",
        "agent_rollouts.download_support_bundle": f"{R}-support.zip",
    }
    assert path == folder / expected[call.name]
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("../../x", "x"),
        ("..\\..\\x", "x"),
        ("/etc/passwd", "passwd"),
        ("a/..", "download"),
        ("a/b/", "b"),
        ("C:\\x.txt", "x.txt"),
        ("c:x", "c_x"),
        ("nul", "_nul"),
        ("a\x00b\n", "a_b_"),
        ("...", "download"),
        ("é.bin", "é.bin"),
        ("x" * 500, "x" * 200),
        ("s:tream?", "s_tream_"),
        (".hidden", ".hidden"),
    ],
)
async def test_a_file_is_never_outside_of_the_folder(
    server: FaultServer, client: AsyncContainerPoolsClient, folder: Path, name: str, expected: str
) -> None:
    server.play(choose=serving())
    path = await client.agent_rollouts.download_artifact(R, name, folder)
    assert path == folder / expected
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("to", [None, 7, b"", "", "a\x00b", "{}/missing/x", "{}/missing/"])
async def test_a_place_that_cannot_be_is_refused_before_anything_is_sent(
    server: FaultServer, client: AsyncContainerPoolsClient, folder: Path, to: Any
) -> None:
    place = to.format(folder) if isinstance(to, str) else to
    with pytest.raises(RequestValidationError, match="to must be"):
        await client.agent_rollouts.download_artifact(R, A, place)
    with pytest.raises(RequestValidationError, match="on_progress must be callable"):
        await client.agent_rollouts.download_artifact(
            R,
            A,
            folder,
            on_progress=7,  # type: ignore[arg-type]
        )
    for bad in ("", " ", ".", "..", None, 7):
        with pytest.raises(RequestValidationError, match="artifact_path"):
            await client.agent_rollouts.artifact(R, bad)  # type: ignore[arg-type]
    assert server.requests == []
    assert names(folder) == []


async def test_a_full_disk(
    server: FaultServer,
    client: AsyncContainerPoolsClient,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server.play(choose=serving())

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    before = folder / "out.bin"
    before.write_text("before")
    with pytest.raises(OSError, match="No space left"):
        await client.agent_rollouts.download_artifact(R, A, folder)
    assert before.read_text() == "before"
    assert names(folder) == [before.name]


async def test_a_folder_of_that_name(
    server: FaultServer, client: AsyncContainerPoolsClient, folder: Path
) -> None:
    server.play(choose=serving())
    (folder / "out.bin").mkdir()
    with pytest.raises(IsADirectoryError):
        await client.agent_rollouts.download_artifact(R, A, folder)
    assert names(folder) == ["out.bin"]


async def test_a_link_is_followed(
    server: FaultServer, client: AsyncContainerPoolsClient, folder: Path
) -> None:
    server.play(choose=serving())
    (folder / "elsewhere").mkdir()
    (folder / "link").symlink_to("elsewhere/file")
    for _ in range(2):
        path = await client.agent_rollouts.download_artifact(R, A, folder / "link")
        assert path.is_symlink()
        assert (folder / "elsewhere/file").read_bytes() == CONTENT
    assert names(folder / "elsewhere") == ["file"]


async def test_what_is_no_file_is_written_through(
    server: FaultServer, client: AsyncContainerPoolsClient, folder: Path
) -> None:
    server.play(choose=serving())
    (folder / "null").symlink_to(os.devnull)
    os.mkfifo(folder / "pipe")
    await client.agent_rollouts.download_artifact(R, A, folder / "null")
    assert Path(os.devnull).is_char_device()  # noqa: ASYNC240
    with pytest.raises(OSError, match=os.strerror(errno.ENXIO)):
        await client.agent_rollouts.download_artifact(R, A, folder / "pipe")
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append((folder / "pipe").read_bytes()))
    # With this end open the reader need not be the first.
    descriptor = os.open(folder / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    reader.start()
    await client.agent_rollouts.download_artifact(R, A, folder / "pipe")
    reader.join()
    os.close(descriptor)
    assert received == [CONTENT]
    assert sorted(names(folder)) == ["null", "pipe"]


async def test_an_output_of_the_process_goes_on_at_its_end(
    server: FaultServer, client: AsyncContainerPoolsClient, folder: Path
) -> None:
    server.play(choose=serving())
    out = folder / "out"
    saved = os.dup(1)
    descriptor = os.open(out, os.O_WRONLY | os.O_CREAT)
    try:
        os.dup2(descriptor, 1)
        os.write(1, b"before")
        await client.agent_rollouts.download_artifact(R, A, "/dev/stdout")
        os.write(1, b"after")
    finally:
        os.dup2(saved, 1)
        os.close(saved)
        os.close(descriptor)
    assert out.read_bytes() == b"before" + CONTENT + b"after"


async def test_a_closed_client_leaves_nothing(
    server: FaultServer, client: AsyncContainerPoolsClient, folder: Path
) -> None:
    await client.aclose()
    for call, _ in FILES:
        with pytest.raises(ClientClosedError):
            await call._replace(args=(*call.args, folder)).on(client)
    assert names(folder) == []
    assert server.requests == []
