"""Downloads from the local backend, as users make them."""

from __future__ import annotations

import hashlib
import io
import json
import tracemalloc
import zipfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from synth_pools import AsyncContainerPoolsClient, NotFoundError
from synth_pools_api.models import ArtifactList
from tests.support.backend_server import KEY, Server, serve
from tests.support.containers import OddContainer, Seen, http, odd_container

LARGE = "".join(f"line {number}\n" for number in range(2000))
MIB = 1 << 20
ARTIFACTS = [
    {"name": "../logs/out.txt", "content": LARGE, "content_type": "text/html"},
    {"name": "answer.json", "content": {"answer": 42}},
    {"name": "é.bin", "content": "AAEC", "encoding": "base64"},
]


def answer(request: Seen) -> bytes:
    if request.method == "GET":
        # The backend asks for the events of a rollout that takes longer; the container has none.
        return http(404, {})
    size = request.json.get("env", {}).get("mib", 0)
    artifacts = [{"name": "huge.bin", "content": "0123456789abcdef" * (size * MIB // 16)}]
    return http(200, {"status": "completed", "artifact": artifacts if size else ARTIFACTS})


@pytest.fixture(scope="module")
def container() -> Iterator[OddContainer]:
    with odd_container(answer) as container:
        yield container


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(tmp_path_factory.mktemp("backend"), max_container_bytes=200 * MIB) as server:
        yield server


@pytest.fixture
async def client(backend: Server) -> AsyncIterator[AsyncContainerPoolsClient]:
    async with AsyncContainerPoolsClient(api_key=KEY, base_url=backend.url, timeout=60) as client:
        yield client


def run(backend: Server, container: OddContainer, **request: Any) -> str:
    pool_id = backend.pool(container_url=container.url, config={"api_key": "hidden-in-a-pool"})
    return str(backend.run(pool_id, **request)["id"])


async def test_each_artifact_as_bytes_and_as_a_file(
    backend: Server, container: OddContainer, client: AsyncContainerPoolsClient, tmp_path: Path
) -> None:
    rollout_id = run(backend, container)
    listed = (await client.agent_rollouts.artifacts(rollout_id))["items"]
    assert [item["path"] for item in listed] == ["logs/out.txt", "answer.json", "é.bin"]
    contents = [LARGE.encode(), b'{"answer":42}', b"\x00\x01\x02"]
    for item, content in zip(listed, contents, strict=True):
        assert await client.agent_rollouts.artifact(rollout_id, item["path"]) == content
        assert await client.get_global_rollout_artifact(rollout_id, item["artifact_id"]) == content
        path = await client.agent_rollouts.download_artifact(rollout_id, item["path"], tmp_path)
        assert path == tmp_path / item["path"].rpartition("/")[2]
        assert path.read_bytes() == content
        assert hashlib.sha256(content).hexdigest() == item["sha256"]
    with pytest.raises(NotFoundError, match="artifact_not_found"):
        await client.agent_rollouts.artifact(rollout_id, "missing")


async def test_archives(
    backend: Server, container: OddContainer, client: AsyncContainerPoolsClient, tmp_path: Path
) -> None:
    rollout_id = run(backend, container, inference_url="https://me:word@host/v1?key=hidden")
    content = await client.agent_rollouts.artifacts_zip(rollout_id)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        assert archive.read("logs/out.txt") == LARGE.encode()
    path = await client.agent_rollouts.download_artifacts_zip(rollout_id, tmp_path)
    assert path.name == f"{rollout_id}-artifacts.zip"
    assert path.read_bytes() == content

    bundle = await client.agent_rollouts.support_bundle(rollout_id)
    path = await client.agent_rollouts.download_support_bundle(rollout_id, tmp_path / "b.zip")
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive, zipfile.ZipFile(path) as saved:
        assert saved.namelist() == archive.namelist()
        request = json.loads(archive.read("request.json"))
        everything = b"".join(archive.read(name) for name in archive.namelist())
    assert request["inference_url"] == "https://[redacted]@host/v1?[redacted]"
    for secret in (b"hidden", b"me:word", KEY.encode()):
        assert secret not in everything


async def test_the_typed_form(
    backend: Server, container: OddContainer, client: AsyncContainerPoolsClient
) -> None:
    rollout_id = run(backend, container)
    api = client.api.agent_rollouts
    listed = await api.get_global_rollout_artifacts(rollout_id)
    assert isinstance(listed, ArtifactList)
    for item in listed.items:
        content = await api.get_global_rollout_artifact(rollout_id, item.path)
        assert hashlib.sha256(content).hexdigest() == item.sha256
    part = await api.get_global_rollout_artifact(rollout_id, "answer.json", range_="bytes=2-7")
    assert part == b"answer"
    assert (await api.get_global_rollout_artifacts_zip(rollout_id)).startswith(b"PK")
    assert (await api.get_global_rollout_support_bundle(rollout_id)).startswith(b"PK")


async def test_24_mib_in_little_memory(
    backend: Server, container: OddContainer, client: AsyncContainerPoolsClient, tmp_path: Path
) -> None:
    """Bound the memory of both sides, since the backend runs in this process, too."""
    rollout_id = run(backend, container, env={"mib": 24})
    progress: list[tuple[int, int | None]] = []

    def note(received: int, total: int | None) -> None:
        if not progress or received - progress[-1][0] >= MIB or received == total:
            progress.append((received, total))

    tracemalloc.start()
    try:
        path = await client.agent_rollouts.download_artifact(
            rollout_id, "huge.bin", tmp_path, on_progress=note
        )
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 6 * MIB
    assert path.stat().st_size == 24 * MIB
    assert progress[-1] == (24 * MIB, 24 * MIB)
    assert len(progress) > 18
    assert path.open("rb").read(16) == b"0123456789abcdef"
