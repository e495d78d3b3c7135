"""The support bundle: everything stored about a rollout, and no secret."""

from __future__ import annotations

import io
import json
import os
import tempfile
import zipfile
from collections.abc import Callable
from typing import Any

import pytest

from synth_pools.backend.api import support_bundle
from synth_pools.backend.artifacts.redaction import MASK, Redactor, names_secret
from tests.backend.artifacts.test_extraction import LARGE
from tests.support.backend_server import KEY, Server, eventually
from tests.support.containers import http, odd_container

FILES = {
    "README.txt",
    "rollout.json",
    "request.json",
    "container_answer.json",
    "events.jsonl",
    "usage.json",
    "artifacts.json",
    "pool.json",
    "task.json",
    "versions.json",
}
WORD = "Xyzzy-4711-plugh"


def bundle(server: Server, rollout_id: str) -> dict[str, str]:
    response = server.send("GET", f"/v1/rollouts/{rollout_id}/support_bundle")
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/zip"
    assert response.headers["content-length"] == str(len(response.content))
    assert response.headers["content-disposition"].startswith("attachment; ")
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name).decode() for name in archive.namelist()}


def test_without_room_for_a_temporary_file(
    server: Server, monkeypatch: pytest.MonkeyPatch, failures: list[str]
) -> None:
    rollout_id = server.run(server.pool())["id"]
    monkeypatch.setattr(support_bundle, "_IN_MEMORY_BYTES", 100)
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere/at/all")
    path = f"/v1/rollouts/{rollout_id}/support_bundle"
    refused = server.refused("GET", path, 503, "storage_unavailable")
    assert refused["error"]["retryable"] is True
    assert "No such file" in refused["detail"]
    assert len(failures) == 1
    failures.clear()
    monkeypatch.undo()
    assert "rollout.json" in bundle(server, rollout_id)


def test_all_that_is_known_and_no_secret(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTAINER_API_KEY_OF_A_TEST", f"{WORD}-env")
    answer = {
        "status": "completed",
        "reward": 0.5,
        "usage": {"input_tokens": 12},
        "headers": [{"name": "Authorization", "value": WORD}, {"name": "accept", "value": "x/y"}],
        "log": f"calling with Bearer {WORD}, then {KEY} and {WORD}-env",
        "artifact": [{"name": "log", "content": LARGE, "metadata": {"secret": WORD}}],
    }
    with odd_container(lambda _: http(200, answer)) as container:
        pool_id = server.pool(
            config={"api_key": WORD, "notes": "kept", "process_like": {"env": {"A": "kept"}}},
            metadata={"nested": [{"password": WORD}]},
            tasks=[
                {
                    "task_id": "t",
                    "container_url": container.url,
                    "task_config": {"access_token": WORD, "args": ["--token", WORD, "--x", "y"]},
                }
            ],
        )
        rollout = server.run(
            pool_id,
            task_id="t",
            inference_url=f"https://user:{WORD}@inference.example/v1?api_key={WORD}#f",
            env={"OPENAI_API_KEY": WORD, "max_tokens": 5, "seed": 3},
            messages=[{"role": "user", "content": f"use api_key={WORD} please"}],
        )
    files = bundle(server, rollout["id"])
    assert set(files) == FILES
    for name, text in files.items():
        assert WORD not in text, name
        assert KEY not in text, name
    documents = {name: json.loads(text) for name, text in files.items() if name.endswith(".json")}
    assert documents["rollout.json"]["id"] == rollout["id"]
    assert documents["rollout.json"]["status"] == "completed"
    assert not {"request", "result"} & set(documents["rollout.json"])
    request = documents["request.json"]
    assert request["inference_url"] == f"https://{MASK}@inference.example/v1?{MASK}#f"
    assert request["env"] == {"OPENAI_API_KEY": MASK, "max_tokens": 5, "seed": 3}
    original = documents["container_answer.json"]
    assert original["headers"] == [
        {"name": "Authorization", "value": MASK},
        {"name": "accept", "value": "x/y"},
    ]
    assert original["artifact"][0]["content"] is None
    assert documents["usage.json"]["llm_input_tokens"] == 12
    (artifact,) = documents["artifacts.json"]
    assert artifact["metadata"] == {"secret": MASK}
    assert artifact["sha256"] == original["artifact"][0]["content_sha256"]
    assert documents["pool.json"]["config"]["notes"] == "kept"
    assert documents["pool.json"]["config"]["process_like"] == {"env": {"A": "kept"}}
    assert documents["task.json"]["task_config"]["args"] == ["--token", MASK, "--x", "y"]
    assert documents["versions.json"]["python"]
    events = [json.loads(line) for line in files["events.jsonl"].splitlines()]
    assert events == server.events(rollout["id"])
    assert all(name in files["README.txt"] for name in FILES - {"README.txt"})


def test_what_a_process_was_given_is_no_word_of_the_bundle(start: Callable[..., Server]) -> None:
    server = start(allow_processes=True)
    pool_id = server.pool()
    rollout = server.run(pool_id, messages=[{"role": "user", "content": f"say {WORD}!"}])
    process = {"argv": ["false"], "env": {"WORD": WORD}, "start_timeout_seconds": 0.5}
    server.call("PATCH", f"/v1/pools/{pool_id}", json={"config": {"process": process}})
    files = bundle(server, rollout["id"])
    assert json.loads(files["pool.json"])["config"]["process"] == {**process, "env": {"WORD": MASK}}
    assert json.loads(files["request.json"])["messages"][0]["content"] == f"say {MASK}!"
    assert not [name for name, text in files.items() if WORD in text]


def test_of_one_that_still_runs_and_of_one_without_a_task(server: Server) -> None:
    pool_id = server.pool(tasks=[{"task_id": "t"}])
    running = server.rollout(pool_id, task_id="t", env={"delay": 60})["id"]
    server.until(running, "running")
    server.call("DELETE", f"/v1/pools/{pool_id}/tasks/t")
    files = bundle(server, running)
    assert json.loads(files["rollout.json"])["status"] == "running"
    assert json.loads(files["container_answer.json"]) is None
    assert json.loads(files["task.json"]) is None
    assert json.loads(files["artifacts.json"]) == []
    assert len(files["events.jsonl"].splitlines()) >= 2


def test_many_events(server: Server) -> None:
    rollout = server.run(server.pool(), env={"events": 700})
    lines = bundle(server, rollout["id"])["events.jsonl"].splitlines()
    assert [json.loads(line)["sequence"] for line in lines] == list(range(1, 705))


@pytest.mark.parametrize(
    "name",
    ["api_key", "API-Key", "apiKey", "OPENAI_API_KEY", "x-api-key", "token", "accessToken"]
    + ["refresh_token", "client_secret", "SECRET", "password", "dbPassword", "passwd", "pwd"]
    + ["Authorization", "auth", "credentials", "cookie", "Set-Cookie", "private_key", "ssh keys"],
)
def test_names_of_secrets(name: str) -> None:
    assert names_secret(name)


@pytest.mark.parametrize(
    "name",
    ["", "author", "keyboard", "monkey", "tokenizer", "key_id", "secretary", "model", "env", "path"]
    + ["description", "authored_by", "passwordless", "cookies_enabled_at"][:3],
)
def test_names_of_what_is_none(name: str) -> None:
    assert not names_secret(name)


@pytest.mark.parametrize(
    ("value", "cleaned"),
    [
        ({"token": WORD}, {"token": MASK}),
        ({"token": ""}, {"token": ""}),
        ({"token": None}, {"token": None}),
        ({"tokens": 7, "max_tokens": 1.5}, {"tokens": 7, "max_tokens": 1.5}),
        ({"api_key": 7}, {"api_key": 7}),
        ({"password": 1234}, {"password": MASK}),
        ({"secret": True}, {"secret": True}),
        ({"auth": {"user": "u", "ids": [1, "x"]}}, {"auth": {"user": MASK, "ids": [1, MASK]}}),
        ({"process": {"a": "b", "env": {"A": "b"}}}, {"process": {"a": "b", "env": {"A": MASK}}}),
        ({"env": {"A": "b"}}, {"env": {"A": "b"}}),
        ({"key": "token", "value": WORD}, {"key": MASK, "value": MASK}),
        ({"name": "x", "value": WORD}, {"name": "x", "value": WORD}),
        (["--api-key", WORD, "x"], ["--api-key", MASK, "x"]),
        ([f"--api-key={WORD}"], [f"--api-key={MASK}"]),
        (["--x", "y"], ["--x", "y"]),
        (["token", "y"], ["token", "y"]),
        ("postgres://u:p@h/db", f"postgres://{MASK}@h/db"),
        ("http://h/p?a=b", f"http://h/p?{MASK}"),
        ("http://h/p?a", f"http://h/p?{MASK}"),
        ("http://h/p?", "http://h/p?"),
        ("see http://h/p and //x", "see http://h/p and //x"),
        ("Authorization: Bearer abcdef", f"Authorization: Bearer {MASK}"),
        ('{"api_key": "abc"}', f'{{"api_key": "{MASK}"}}'),
        ('{\\"token\\": \\"abc\\"}', f'{{\\"token\\": \\"{MASK}\\"}}'),
        ("password=abc&x=y", f"password={MASK}&x=y"),
        ("basic dXNlcjpwYXNz", f"basic {MASK}"),
        ("sk-abcdefghijklmnop", MASK),
        ("ghp_abcdefghijklmnop", MASK),
        ("eyJhbGciOiJIUzI1NiJ9.e30.x", MASK),
        ("skateboards and a token of thanks", "skateboards and a token of thanks"),
        ("known-word-1 here", f"{MASK} here"),
        ('{"x": "known\\u002Dword-1"}', f'{{"x": "{MASK}"}}'),
        ({"known-word-1": 1}, {MASK: 1}),
        ([None, True, 1, 1.5], [None, True, 1, 1.5]),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_taken_out(value: Any, cleaned: Any) -> None:
    assert Redactor(["known-word-1", "short", ""]).document(value) == cleaned


def test_a_large_answer_is_redacted_too(server: Server) -> None:
    answer = {"reward": 1, "pad": "x" * 400_000, "headers": {"authorization": WORD}, "log": KEY}
    with odd_container(lambda _: http(200, answer)) as container:
        rollout = server.run(server.pool(container_url=container.url))
    original = json.loads(bundle(server, rollout["id"])["container_answer.json"])
    assert original == {**answer, "headers": {"authorization": MASK}, "log": MASK}
    eventually(lambda: server.services.sending_room.budget.taken == 0)


def test_a_short_document_is_laid_out_to_be_read() -> None:
    assert support_bundle.redacted_text('{"a":[1]}', []) == '{\n  "a": [\n    1\n  ]\n}\n'


def test_levels_inside_each_other_make_no_long_text() -> None:
    text = "[" * 490 + ",".join("1" * 100_000) + "]" * 490
    assert len(support_bundle.redacted_text(text, [])) < 2 * len(text)


def test_the_deepest_document_and_the_longest_word() -> None:
    deep: Any = WORD
    for _ in range(490):
        deep = {"secret": deep} if isinstance(deep, list) else [deep]
    assert WORD not in json.dumps(Redactor().document(deep))
    for text in ("a" * 2_000_000, "https://" * 100_000, "token" * 200_000, os.urandom(10**6).hex()):
        assert len(Redactor().text(text)) > 0
