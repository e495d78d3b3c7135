"""Artifacts of an answer: their contents, descriptions, and place in the result."""

from __future__ import annotations

import base64
import hashlib
import json
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from synth_pools.backend.storage.contents.store import FOLDER
from synth_pools.backend.storage.data_dir import FILE_NAME
from tests.support.backend_server import Server, serve
from tests.support.containers import http, odd_container

LARGE = "".join(f"line {number}\n" for number in range(1000))
BINARY = bytes(range(256)) * 40


def run(server: Server, artifacts: Any, key: str = "artifact", **more: Any) -> dict[str, Any]:
    """A rollout whose container left these."""
    return run_answer(server, {"status": "completed", key: artifacts, **more})


def run_answer(server: Server, answer: dict[str, Any]) -> dict[str, Any]:
    with odd_container(lambda _: http(200, answer)) as container:
        rollout: dict[str, Any] = server.run(server.pool(container_url=container.url))
    return rollout


def items(server: Server, rollout: dict[str, Any]) -> list[dict[str, Any]]:
    actual: list[dict[str, Any]] = server.get(f"/v1/rollouts/{rollout['id']}/artifacts")["items"]
    return actual


def files(data_dir: Path) -> list[str]:
    return sorted(path.name for path in (data_dir / FOLDER).rglob("*") if path.is_file())


def total_bytes(server: Server) -> int:
    folder = server.services.settings.contents_dir / FOLDER
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(
    ("artifact", "content"),
    [
        ({"content": "short"}, b"short"),
        ({"content": LARGE}, LARGE.encode()),
        ({"content": "é\ud800" * 4000}, ("é\ud800" * 4000).encode("utf-8", "surrogatepass")),
        ({"content": {"b": [1, None], "a": "é"}}, b'{"b":[1,null],"a":"\\u00e9"}'),
        ({"content": list(range(3000))}, json.dumps([*range(3000)]).replace(" ", "").encode()),
        ({"content": 5}, b"5"),
        ({"content": ""}, b""),
        ({"content": None}, b""),
        ({}, b""),
        ({"content": base64.b64encode(BINARY).decode(), "content_encoding": "base64"}, BINARY),
        ({"content": base64.encodebytes(BINARY).decode(), "encoding": "base64"}, BINARY),
        ({"content": "AAEC", "encoding": "base64"}, b"\x00\x01\x02"),
        ({"content": "AAEC", "encoding": "utf-8"}, b"AAEC"),
        ({"content": ["AAEC"], "encoding": "base64"}, b'["AAEC"]'),
    ],
    ids=str,
)
def test_contents_come_back_as_they_were(
    server: Server, artifact: dict[str, Any], content: bytes
) -> None:
    rollout = run(server, [{"name": "a/b.bin", **artifact}])
    (item,) = items(server, rollout)
    assert (item["size_bytes"], item["sha256"]) == (len(content), sha256(content))
    response = server.send("GET", item["download_url"])
    assert (response.status_code, response.content) == (200, content)
    assert server.send("GET", by_id(rollout, item["artifact_id"])).content == content
    (original,) = rollout["result"]["artifact"]
    if len(content) > 4096:
        replaced = {"content": None, "content_sha256": sha256(content), "size_bytes": len(content)}
        assert original == {"name": "a/b.bin", **artifact, **replaced}
    else:
        assert original == {"name": "a/b.bin", **artifact}


def by_id(rollout: dict[str, Any], name: str) -> str:
    return f"/v1/rollouts/{rollout['id']}/artifacts/{quote(name, safe='')}"


def test_only_contents_are_taken_out_of_the_result(server: Server) -> None:
    large = {"name": "l", "content": LARGE, "metadata": {"content": LARGE}, "x": [LARGE]}
    rollout = run(server, [large, large, {"name": "s", "content": "s"}, None], log=LARGE)
    result = rollout["result"]
    replaced = {"content": None, "content_sha256": sha256(LARGE.encode()), "size_bytes": len(LARGE)}
    assert result["artifact"] == [
        {**large, **replaced},
        {**large, **replaced},
        {"name": "s", "content": "s"},
        None,
    ]
    assert result["log"] == LARGE
    assert [item["path"] for item in items(server, rollout)] == ["l", "l-2", "s"]
    assert [item["artifact_name"] for item in items(server, rollout)] == ["l", "l", "s"]


@pytest.mark.parametrize("key", ["artifact", "artifacts"])
def test_one_that_is_no_list_and_both_names(server: Server, key: str) -> None:
    rollout = run(server, {"name": "one", "content": LARGE}, key)
    (item,) = items(server, rollout)
    assert server.send("GET", item["download_url"]).text == LARGE
    assert rollout["result"][key]["content"] is None


def test_the_same_content_is_kept_once(tmp_path: Path) -> None:
    with serve(tmp_path) as server:
        for _ in range(3):
            run(server, [{"name": "x", "content": LARGE}, {"name": "y", "content": LARGE}])
        run(server, [{"name": "small", "content": "small"}])
        assert files(tmp_path) == [sha256(LARGE.encode())]
        assert total_bytes(server) == len(LARGE)
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as database:
        dump = "\n".join(database.iterdump())
    assert "line 500" not in dump


def test_after_a_restart_they_are_there(tmp_path: Path) -> None:
    with serve(tmp_path) as server:
        rollout = run(server, [{"name": "x", "content": LARGE}, {"name": "y", "content": "small"}])
        before = [item["path"] for item in items(server, rollout)]
    with serve(tmp_path) as server:
        assert total_bytes(server) == len(LARGE)
        actual = items(server, rollout)
        assert [item["path"] for item in actual] == before
        contents = [server.send("GET", item["download_url"]).text for item in actual]
        assert contents == [LARGE, "small"]


def test_one_that_is_too_large_fails_its_rollout(start: Callable[..., Server]) -> None:
    server = start(max_artifact_bytes=5000)
    stored = run(server, [{"content": "x" * 5000}])
    assert stored["status"] == "completed"
    rollout = run(server, [{"name": "log", "content": "x" * 5001}])
    assert rollout["status"] == "failed"
    assert rollout["error"]["code"] == "container_bad_response"
    assert rollout["error"]["details"] == {
        "artifact_name": "log",
        "size_bytes": 5001,
        "max_artifact_bytes": 5000,
    }
    assert items(server, rollout) == []
    # Decoded is what counts.
    encoded = base64.b64encode(bytes(5000)).decode()
    assert run(server, [{"content": encoded, "encoding": "base64"}])["status"] == "completed"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"reward": "0.5"}, "reward"),
        ({"reward": -(10**400)}, "reward"),
        ({"metrics": {"outcome_reward": True}}, "metrics.outcome_reward"),
        ({"summary": {"reward": [1, 0]}, "reward": "x"}, "summary.reward"),
        ({"artifact": ["report.txt"]}, "artifact[0]"),
        ({"artifact": "report.txt"}, "artifact"),
        ({"artifacts": [{"content": "x"}, 7]}, "artifacts[1]"),
        ({"artifact": [None, {"content": "AAE", "encoding": "base64"}]}, "artifact[1].content"),
        ({"artifacts": {"content": "no!", "content_encoding": "base64"}}, "artifacts.content"),
    ],
    ids=str,
)
def test_what_cannot_be_used_fails_its_rollout_and_is_named(
    server: Server, fields: dict[str, Any], field: str
) -> None:
    answer = {"status": "completed", **fields}
    error = run_answer(server, answer)["error"]
    assert (error["code"], error["details"]["field"]) == ("container_bad_response", field)
    assert f" {field}" in error["message"]
    # The failure that the container reports comes first.
    failed = run_answer(server, {**answer, "status": "failed", "status_detail": "no GPU"})
    assert (failed["error"]["code"], failed["error"]["message"]) == ("container_failed", "no GPU")


def test_an_answer_without_a_reward_completes(server: Server) -> None:
    for fields in (
        {},
        {"reward": None},
        {"score": 1.0},
        {"reward": "0.5", "summary": {"reward": 1}},
    ):
        rollout = run_answer(server, {"status": "completed", "artifact": None, **fields})
        assert (rollout["status"], rollout["error"]) == ("completed", None)


def test_more_than_are_taken_fail_their_rollout(start: Callable[..., Server]) -> None:
    server = start(max_artifacts=3)
    assert run(server, [{}] * 3)["status"] == "completed"
    rollout = run(server, [{}] * 4)
    assert rollout["error"]["code"] == "container_bad_response"
    assert rollout["error"]["details"] == {"artifacts": 4, "max_artifacts": 3}


def test_the_name_that_the_container_package_gives(server: Server) -> None:
    rollout = run(
        server,
        [
            {"content": "a", "metadata": {"name": "trace.json"}},
            {"name": "own", "content": "b", "metadata": {"name": "other"}},
            {"content": "c", "metadata": {"name": 5}},
        ],
    )
    names = ["trace.json", "own", "artifact-3"]
    assert [item["artifact_name"] for item in items(server, rollout)] == names
    assert [item["path"] for item in items(server, rollout)] == names
    refused = server.refused("GET", by_id(rollout, "trace.txt"), 404, "artifact_not_found")
    assert refused["error"]["details"] == {"artifacts": names}
    assert "it has 'trace.json', 'own', 'artifact-3'" in refused["detail"]


def test_one_that_is_not_there_among_many_or_none(server: Server) -> None:
    many = run(server, [{"name": f"{number:03}"} for number in range(1000)])
    refused = server.refused("GET", by_id(many, "x"), 404, "artifact_not_found")
    assert refused["error"]["details"]["artifacts"] == [f"{number:03}" for number in range(20)]
    assert refused["detail"].endswith("'019' and 980 more.")
    none = run(server, [])
    refused = server.refused("GET", by_id(none, "x"), 404, "artifact_not_found")
    assert refused["error"]["details"] == {"artifacts": []}


def test_ten_thousand_of_one_name(server: Server) -> None:
    started_at = time.monotonic()
    rollout = run(server, [{"name": "x"}] * 10_000)
    assert time.monotonic() - started_at < 60
    actual = items(server, rollout)
    assert [item["path"] for item in actual][-1] == "x-10000"
    assert len({item["path"] for item in actual}) == 10_000


def test_a_failed_rollout_keeps_what_it_left(server: Server) -> None:
    body = {"status": "failed", "artifact": [{"name": "log", "content": LARGE}]}
    with odd_container(lambda _: http(200, body)) as container:
        rollout = server.run(server.pool(container_url=container.url))
    assert rollout["status"] == "failed"
    (item,) = items(server, rollout)
    assert server.send("GET", item["download_url"]).text == LARGE


@pytest.mark.sqlite
def test_what_an_older_backend_kept_in_the_result_is_served_from_there(tmp_path: Path) -> None:
    """Contents of any size in the result, paths as the container gave them, encodings not read."""
    with serve(tmp_path) as server:
        rollout = run(server, [{"name": "x", "content": "x"}] * 3)
    encoded = base64.b64encode(BINARY).decode()
    original: list[dict[str, Any]] = [
        {"name": "../up.txt", "content": LARGE},
        {"name": "../up.txt", "content": encoded, "encoding": "base64"},
        {"name": "C:\\n.json", "content": {"a": 1}},
    ]
    stored = [LARGE.encode(), encoded.encode(), b'{"a":1}']
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as database, database:
        [(text,)] = database.execute("SELECT artifacts FROM rollouts")
        old = json.loads(text)
        for item, artifact, content in zip(old, original, stored, strict=True):
            item.update(artifact_name=artifact["name"], path=artifact["name"])
            item.update(size_bytes=len(content), sha256=sha256(content))
        database.execute(
            "UPDATE rollouts SET artifacts = ?, result = ?",
            (json.dumps(old), json.dumps({"artifact": original})),
        )
    with serve(tmp_path) as server:
        actual = items(server, rollout)
        assert [item["path"] for item in actual] == ["up.txt", "up-2.txt", "n.json"]
        for item, content in zip(actual, stored, strict=True):
            response = server.send("GET", item["download_url"])
            assert response.content == content
            assert response.headers["etag"] == f'"{sha256(content)}"'
        assert server.get(f"/v1/rollouts/{rollout['id']}")["result"]["artifact"] == original
