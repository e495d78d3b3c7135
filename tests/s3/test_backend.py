"""A backend with artifacts in a bucket: the same as in its data directory, and outages."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from synth_pools.backend.domain.content_places import BucketPlace
from synth_pools.backend.errors import ArtifactsError, DataDirError
from synth_pools.backend.storage.contents import bucket as content_bucket
from synth_pools.backend.storage.contents.folder import FolderContents
from synth_pools.backend.storage.contents.store import CONTENTS_FILE, FOLDER, RemoteContents
from synth_pools.backend.storage.sqlite.backup import back_up
from tests.support.backend_server import Server, eventually, serve
from tests.support.commands import run_command
from tests.support.containers import Seen, http, odd_container
from tests.support.content_places import BucketOfTests
from tests.support.ports import HeldPort
from tests.support.s3_server import S3Server

# Several pieces, and two parts of an upload.
SIZE = 6_000_000


def text(number: int, size: int = 10_000) -> str:
    return f"{number:08d}" * (size // 8)


def name_of(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


@pytest.fixture
def endpoint(s3_server: S3Server) -> str:
    return s3_server.url


@contextmanager
def backend(data_dir: Path, bucket: BucketOfTests, url: str, **more: Any) -> Iterator[Server]:
    data_dir.mkdir(exist_ok=True)
    chosen = {"artifacts": bucket.place, "artifacts_endpoint": url, **more}
    with serve(data_dir, **chosen) as server:
        yield server


def leave(server: Server, *contents: str) -> dict[str, Any]:
    """A rollout whose container left these contents, named by their positions."""
    artifacts = [{"name": f"{place}", "content": content} for place, content in enumerate(contents)]
    with odd_container(lambda _: http(200, {"reward": 1, "artifacts": artifacts})) as container:
        rollout: dict[str, Any] = server.run(server.pool(container_url=container.url))
    return rollout


def path_of(rollout: dict[str, Any], name: object = 0) -> str:
    return f"/v1/rollouts/{rollout['id']}/artifacts/{name}"


def test_artifacts_come_back_whole_in_parts_and_together(
    tmp_path: Path, bucket: BucketOfTests, endpoint: str
) -> None:
    large, small = text(1, SIZE), text(2)
    with backend(tmp_path / "data", bucket, endpoint) as server:
        rollout = leave(server, large, small, "in the result")
        assert bucket.names() == sorted([name_of(large), name_of(small)])
        assert not (tmp_path / "data" / FOLDER).exists()
        assert server.send("GET", path_of(rollout)).text == large
        part = server.send("GET", path_of(rollout), headers={"range": "bytes=999000-2000000"})
        assert (part.status_code, part.text) == (206, large[999000:2000001])
        archive = server.send("GET", f"/v1/rollouts/{rollout['id']}/artifacts.zip").content
        with zipfile.ZipFile(io.BytesIO(archive)) as actual:
            assert actual.namelist() == ["0", "1", "2"]
            assert actual.read("0").decode() == large
            assert actual.read("2") == b"in the result"
    # After a restart too, which finds nothing to put away; and in a copy of the directory.
    back_up(tmp_path / "data", tmp_path / "copy")
    for data_dir in (tmp_path / "data", tmp_path / "copy"):
        with backend(data_dir, bucket, endpoint) as server:
            assert server.send("GET", path_of(rollout, 1)).text == small
            assert len(bucket.names()) == 2


def test_what_is_in_the_bucket_is_of_one_database(
    tmp_path: Path, bucket: BucketOfTests, endpoint: str
) -> None:
    with backend(tmp_path / "data", bucket, endpoint) as server:
        leave(server, text(1))
    others = pytest.raises(ArtifactsError, match="has the artifacts of another database")
    with others, backend(tmp_path / "other", bucket, endpoint):
        pass
    elsewhere = pytest.raises(DataDirError, match=f"are in {bucket.place}: give --artifacts")
    with elsewhere, serve(tmp_path / "data"):
        pass
    another = pytest.raises(ArtifactsError, match="give --artifacts s3://")
    with another, serve(tmp_path / "data", artifacts=BucketPlace("elsewhere", "")):
        pass
    (tmp_path / "data" / CONTENTS_FILE).unlink()
    with serve(tmp_path / "data") as server:
        leave(server, text(2))
    both = pytest.raises(ArtifactsError, match="has artifacts: copy it to s3://")
    with both, backend(tmp_path / "data", bucket, endpoint):
        pass


def test_what_goes_with_its_rollout_goes_from_the_bucket(
    tmp_path: Path, bucket: BucketOfTests, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RemoteContents, "young_seconds", -60.0)
    with backend(tmp_path / "data", bucket, endpoint) as server:
        leave(server, text(1), text(2))
    with backend(tmp_path / "data", bucket, endpoint, keep_finished_seconds=0.5) as server:
        eventually(lambda: bucket.names() == [])
        stored = leave(server, text(3))
        eventually(lambda: server.send("GET", f"/v1/rollouts/{stored['id']}").status_code == 404)
        eventually(lambda: bucket.names() == [])


def test_the_oldest_go_first_where_there_is_more_than_is_kept(
    tmp_path: Path, bucket: BucketOfTests, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RemoteContents, "young_seconds", -60.0)
    with backend(tmp_path / "data", bucket, endpoint) as server:
        first, second = leave(server, text(1)), leave(server, text(2))
    with backend(tmp_path / "data", bucket, endpoint, keep_artifacts_bytes=15_000) as server:
        eventually(lambda: bucket.names() == [name_of(text(2))])
        server.refused("GET", path_of(first), 404, "artifact_expired")
        assert server.send("GET", path_of(second)).text == text(2)


def test_a_service_that_hangs_delays_and_loses_nothing(
    tmp_path: Path,
    bucket: BucketOfTests,
    s3_server: S3Server,
    failures: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(content_bucket, "_READ_SECONDS", 4)
    monkeypatch.setattr(content_bucket, "_WRITE_SECONDS", 5)
    monkeypatch.setattr(content_bucket, "_RETRY_SECONDS", 1)

    def answer(request: Seen) -> bytes:
        if request.method == "GET":
            # Its events are requested during the wait for an end.
            return http(404, {"error": "there is nothing here"})
        artifact = {"name": "0", "content": text(request.json["seed"], SIZE)}
        return http(200, {"reward": 1, "artifacts": [artifact]})

    with (
        backend(tmp_path / "data", bucket, s3_server.url) as server,
        odd_container(answer) as container,
    ):
        pool_id = server.pool(container_url=container.url)
        before = server.run(pool_id, seed=1)
        s3_server.freeze()
        try:
            during = server.rollout(pool_id, seed=2)
            for path in (path_of(before), f"/v1/rollouts/{before['id']}/artifacts.zip"):
                response = server.send("GET", path)
                assert response.status_code == 503, response.text
                assert response.json()["error"]["code"] == "storage_unavailable"
                assert response.headers["retry-after"] == "5"
            eventually(lambda: any("cannot be stored" in line for line in failures))
            assert server.state(during["id"]) == "running"
            # Requests that need no contents work.
            assert server.get(f"/v1/rollouts/{before['id']}/artifacts")["items"]
        finally:
            s3_server.thaw()
        assert server.until(during["id"])["status"] == "completed"
        assert server.send("GET", path_of(during)).text == text(2, SIZE)
        assert server.send("GET", path_of(before)).text == text(1, SIZE)
    assert all("no answer in time" in line for line in failures), failures
    failures.clear()


def test_no_secret_in_any_text(
    tmp_path: Path,
    bucket: BucketOfTests,
    s3_server: S3Server,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    secrets = s3_server.writer[1], "token-of-the-session-0123456789"
    with backend(tmp_path / "data", bucket, s3_server.url) as server:
        monkeypatch.setenv("AWS_SESSION_TOKEN", secrets[1])
        rollout = leave(server, text(1), f"{secrets[0]} {secrets[1]}")
        bundle = server.send("GET", f"/v1/rollouts/{rollout['id']}/support_bundle").content
        with zipfile.ZipFile(io.BytesIO(bundle)) as actual:
            texts = [actual.read(name).decode() for name in actual.namelist()]
        texts += [repr(server.services.settings), repr(server.services.contents), caplog.text]
    texts += [path.read_text() for path in (tmp_path / "data").glob("artifacts.*")]
    assert not [text for text in texts if any(secret in text for secret in secrets)]


def refusal(data_dir: Path, *more: str, **variables: str) -> str:
    """The line with which `serve` refuses to start; an empty variable counts as unset."""
    environment = {name: value for name, value in {**os.environ, **variables}.items() if value}
    done = run_command("serve", "--port", 0, "--data-dir", data_dir, *more, environment=environment)
    assert (done.returncode, done.stdout) == (2, ""), done
    [line] = done.stderr.splitlines()
    secret = variables.get("AWS_SECRET_ACCESS_KEY", os.environ["AWS_SECRET_ACCESS_KEY"])
    assert not secret or secret not in line
    return line


def test_what_cannot_be_used_is_said_in_one_line(
    tmp_path: Path, bucket: BucketOfTests, s3_server: S3Server
) -> None:
    where = ("--artifacts", str(bucket.place))
    there = (*where, "--artifacts-endpoint", s3_server.url)
    data_dir = tmp_path / "data"
    line = refusal(data_dir, *there, AWS_SECRET_ACCESS_KEY="wrong-0123456789")
    assert "access is refused" in line
    assert "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in line
    key, secret = s3_server.reader
    line = refusal(data_dir, *there, AWS_ACCESS_KEY_ID=key, AWS_SECRET_ACCESS_KEY=secret)
    assert "access is refused (AccessDenied)" in line
    line = refusal(data_dir, *there, AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="")
    assert "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in line
    elsewhere = ("--artifacts", "s3://nowhere-to-be-found/x", "--artifacts-endpoint", s3_server.url)
    assert "there is no such bucket (NoSuchBucket)" in refusal(data_dir, *elsewhere)
    with HeldPort() as nobody:
        away = f"http://127.0.0.1:{nobody.number}"
        line = refusal(data_dir, *where, AWS_ENDPOINT_URL=away)
        assert "it cannot be reached; check --artifacts-endpoint" in line
    line = refusal(data_dir, *where, AWS_ENDPOINT_URL_S3="ftp://user:pass-word@x")
    assert "AWS_ENDPOINT_URL_S3 takes the URL of a service" in line
    assert "pass-word" not in line
    assert "AWS_REGION has a value" in refusal(data_dir, *there, AWS_REGION="eu west")
    # A refused start has claimed nothing.
    assert not FolderContents(data_dir).has_any()
    assert bucket.names("") == []
