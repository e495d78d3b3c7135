"""Several keys with names in a file, which change while the backend runs."""

from __future__ import annotations

import hmac
import logging
import re
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from synth_pools.backend.api_keys import SCOPES, KeyRing, read_keys_file
from synth_pools.backend.domain import clock
from synth_pools.backend.errors import BadOptionError
from synth_pools.backend.settings import Secret, Settings
from synth_pools.local import LocalBackend
from synth_pools.spec import load_spec
from synth_pools.ui.sessions import TOKEN_HEADER
from tests.cli.local.test_serve import run
from tests.cli.local.test_serve import serve as serve_command
from tests.support.backend_server import eventually, serve


def keys_file(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "keys"
    # As one changes such a file: whole, in one step.
    draft = folder / "keys.new"
    draft.write_text(text)
    draft.chmod(mode)
    draft.rename(path)
    return path


def status(url: str, key: str) -> int:
    headers = {"authorization": f"Bearer {key}"}
    return httpx.get(f"{url}/v1/pools", headers=headers).status_code


def test_every_key_of_the_file_is_good_until_it_is_taken_out(tmp_path: Path) -> None:
    path = keys_file(tmp_path, "# who\nann: sk_key_of_ann_1\n\n  bob :sk_key_of_bob_1  \n")
    with LocalBackend(tmp_path / "data", api_keys_file=path) as backend:
        assert backend.api_key == "sk_key_of_ann_1"
        for key, expected in (
            ("sk_key_of_ann_1", 200),
            ("sk_key_of_bob_1", 200),
            ("sk_key_of_ann", 401),
            ("ann", 401),
        ):
            assert status(backend.url, key) == expected
        keys_file(tmp_path, "ann: sk_key_of_ann_2\nbob: sk_key_of_bob_1\n")
        eventually(lambda: status(backend.url, "sk_key_of_ann_2") == 200)
        assert status(backend.url, "sk_key_of_ann_1") == 401
        assert status(backend.url, "sk_key_of_bob_1") == 200
    assert not (tmp_path / "data" / "api-key").exists()


def test_a_file_that_cannot_be_used_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, failures: list[str]
) -> None:
    path = keys_file(tmp_path, "ann: sk_key_of_ann_1\n")
    with LocalBackend(tmp_path / "data", api_keys_file=path) as backend:

        def is_told(times: int) -> bool:
            return status(backend.url, "sk_key_of_ann_1") == 200 and len(failures) == times

        bad = [("", 0o600), ("ann: sk_key_of_ann_2\n", 0o644), ("sk_secret words\n", 0o600)]
        for number, (text, mode) in enumerate(bad, 1):
            keys_file(tmp_path, text, mode)
            eventually(partial(is_told, number))
        path.unlink()
        eventually(partial(is_told, 4))
        assert status(backend.url, "sk_key_of_ann_2") == 401
        with caplog.at_level(logging.WARNING, "synth_pools.backend"):
            keys_file(tmp_path, "ann: sk_key_of_ann_3\n")
            eventually(lambda: status(backend.url, "sk_key_of_ann_3") == 200)
        assert "ann" in caplog.text
    assert all("the keys stay as they were" in line for line in failures)
    assert "sk_" not in "".join(failures) + caplog.text
    failures.clear()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no keys"),
        ("# none\n", "holds no keys"),
        ("sk_secret_of_ann\n", "line 1"),
        ("a: sk_secret_of_ann\nb sk_secret_of_ann\n", "line 2"),
        (": sk_secret_of_ann\n", "line 1"),
        ("a b: sk_secret_of_ann\n", "line 1"),
        ("a: sk_secret words\n", "ASCII"),
        ("a: sk_secretä\n", "ASCII"),
        ("a:\n", "blank"),
        ("a: sk_secret_of_ann\na: sk_secret_of_bob\n", "another line"),
        ("a: sk_secret_of_ann\nb: sk_secret_of_ann\n", "has the key of another line"),
        ("a: abcde\n", "has a key that has less than 12 characters"),
        ("a: sk_secret_of_ann scopes=write\n", "none of metrics, read, run, admin"),
        ("a: sk_secret_of_ann scopes=\n", "none of metrics, read, run, admin"),
        ("a: sk_secret_of_ann expires=soon\n", "write expires=2027-01-31"),
        ("a: sk_secret_of_ann scopes=run scopes=read\n", "each once"),
        ("a: sk_secret_of_ann scopes=run role=x\n", "`scopes=` and `expires=`, each once"),
        ("a: scopes=read,run\n", "blank"),
    ],
)
def test_a_bad_file_is_refused_and_its_keys_told_to_nobody(
    tmp_path: Path, text: str, words: str
) -> None:
    path = keys_file(tmp_path, text)
    with pytest.raises(BadOptionError, match=words) as caught:
        read_keys_file(path)
    output = "".join(
        traceback.TracebackException.from_exception(caught.value, capture_locals=True).format()
    )
    assert "sk_secret" not in output.replace(repr(text), "")
    done = run(tmp_path, "serve", "--port", "0", "--api-keys-file", str(path))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert words in done.stderr
    assert "sk_secret" not in done.stderr


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o777])
def test_a_file_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = keys_file(tmp_path, "a: sk_the_key_of_a\n", mode)
    with pytest.raises(BadOptionError, match=f"{mode:04o}.*chmod 600"):
        LocalBackend(api_keys_file=path)
    path.chmod(0o600)
    with pytest.raises(BadOptionError, match="not both"):
        LocalBackend(api_keys_file=path, api_key="sk_the_key_of_b")
    with pytest.raises(BadOptionError, match="cannot read"):
        LocalBackend(api_keys_file=tmp_path / "nowhere")


def test_every_key_is_compared_whichever_is_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = keys_file(tmp_path, "a: sk_the_key_of_a\nb: sk_the_key_of_b\nc: sk_the_key_of_c\n")
    ring = KeyRing(Settings(data_dir=tmp_path, api_key=Secret("unused"), api_keys_file=path))
    compared: list[tuple[int, int]] = []
    genuine: Callable[[bytes, bytes], bool] = hmac.compare_digest

    def watched(left_digest: bytes, right_digest: bytes) -> bool:
        compared.append((len(left_digest), len(right_digest)))
        return genuine(left_digest, right_digest)

    monkeypatch.setattr("synth_pools.backend.api_keys.hmac.compare_digest", watched)
    for candidate, name in (
        (b"sk_the_key_of_a", "a"),
        (b"sk_the_key_of_c", "c"),
        (b"x", None),
        (b"", None),
    ):
        compared.clear()
        assert ring.name_of(candidate) == name
        # Digests always have the same length, whatever was sent.
        assert compared == [(32, 32)] * 3
    assert ring.name_of(b"unused") is None


def test_only_the_whole_key_counts(tmp_path: Path) -> None:
    ring = KeyRing(Settings(data_dir=tmp_path, api_key=Secret("sk_live_abcdef")))
    assert ring.name_of(b"sk_live_abcdef") == ""
    for wrong_key in (b"", b"sk_live_abcde", b"sk_live_abcdefx", b"SK_LIVE_ABCDEF", b"\xff"):
        assert ring.name_of(wrong_key) is None


def test_serve_takes_a_file_of_keys(tmp_path: Path) -> None:
    path = keys_file(tmp_path, "ann: sk_key_of_ann\n")
    arguments = ["--port", "0", "--data-dir", str(tmp_path / "d"), "--api-keys-file", str(path)]
    with serve_command(tmp_path, *arguments) as serving:
        assert status(serving.url, "sk_key_of_ann") == 200
        assert "sk_key_of_ann" not in serving.printed
        assert str(path) in serving.printed
    refused = run(tmp_path, "serve", *arguments, "--api-key", "sk_the_key_of_b")
    assert "not both" in refused.stderr


@pytest.mark.parametrize("is_of_the_page", [False, True])
def test_streams_of_a_key_that_was_removed_end(tmp_path: Path, is_of_the_page: bool) -> None:
    path = keys_file(tmp_path, "ann: sk_key_of_ann\nbob: sk_key_of_bob\n")
    with serve(tmp_path, api_keys_file=path, heartbeat_seconds=0.05) as server:
        ann = {"authorization": "Bearer sk_key_of_ann"}
        server.http.headers["authorization"] = "Bearer sk_key_of_bob"
        pool_id = server.pool()
        if is_of_the_page:
            del server.http.headers["authorization"]
            page = server.http.post("/ui/session", json={"key": "sk_key_of_ann"})
            assert page.status_code == 200, page.text
            ann = {TOKEN_HEADER: page.json()["token"]}
        events = f"/v1/pools/{pool_id}/events"
        with server.http.stream("GET", events, headers=ann, timeout=30) as stream:
            assert stream.status_code == 200
            chunks = stream.iter_raw()
            next(chunks)
            keys_file(tmp_path, "bob: sk_key_of_bob\n")
            for _ in chunks:
                pass
        server.http.cookies.clear()
        bob = {"authorization": "Bearer sk_key_of_bob"}
        with server.http.stream("GET", events, headers=bob) as stream:
            chunks = stream.iter_raw()
            keys_file(tmp_path, "bob: sk_key_of_bob\ncid: sk_key_of_cid\n")
            eventually(lambda: status(server.url, "sk_key_of_cid") == 200)
            # Streams of valid keys continue.
            assert [bool(next(chunks)) for _ in range(3)] == [True] * 3


def test_an_idempotency_key_counts_for_the_key_that_sent_it(tmp_path: Path) -> None:
    path = keys_file(tmp_path, "ann: sk_key_of_ann\nbob: sk_key_of_bob\n")
    with serve(tmp_path, api_keys_file=path) as server:

        def created(who: str, path: str, body: dict[str, Any]) -> str:
            headers = {"authorization": f"Bearer sk_key_of_{who}", "idempotency-key": "run-1"}
            answer = server.send("POST", path, json=body, headers=headers)
            assert answer.status_code in (200, 202), answer.text
            return str((answer.json().get("rollouts") or [answer.json()])[0]["id"])

        server.http.headers["authorization"] = "Bearer sk_key_of_ann"
        pool_id = server.pool()
        rollout_id = server.run(pool_id)["id"]
        bodies: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
            f"/v1/pools/{pool_id}/rollouts": ({"seed": 1}, {"seed": 2}),
            "/v1/rollouts/batch": ({"rollouts": [{"seed": 1}]}, {"rollouts": [{"seed": 2}]}),
            f"/v1/rollouts/{rollout_id}/replay": ({}, {}),
        }
        for call, (ann_body, bob_body) in bodies.items():
            of_ann, of_bob = created("ann", call, ann_body), created("bob", call, bob_body)
            assert of_ann != of_bob
            assert created("ann", call, ann_body) == of_ann
            assert created("bob", call, bob_body) == of_bob


SCOPED = "".join(f"{scope}: sk_key_to_{scope} scopes={scope}\n" for scope in SCOPES)


def test_every_operation_takes_the_scope_that_the_document_says(tmp_path: Path) -> None:
    path = keys_file(tmp_path, SCOPED)
    with serve(tmp_path, api_keys_file=path) as server:
        for route, item in load_spec()["paths"].items():
            for method, operation in item.items():
                if method == "parameters":
                    continue
                least = operation.get("x-scope") or ("read" if method == "get" else "admin")
                for scope in SCOPES:
                    headers = {"authorization": f"Bearer sk_key_to_{scope}"}
                    # No such pool or task: nothing is changed.
                    where = re.sub(r"{\w+}", "nope", route)
                    answer = server.send(method.upper(), where, headers=headers)
                    is_refused = SCOPES.index(scope) < SCOPES.index(least)
                    assert (answer.status_code == 403) == is_refused, (operation, scope)
                    if is_refused:
                        error = answer.json()["error"]
                        assert error["code"] == "insufficient_scope"
                        assert repr(least) in error["message"]
                        assert repr(scope) in error["message"]


def test_what_each_scope_is_for(tmp_path: Path) -> None:
    path = keys_file(tmp_path, SCOPED)
    with serve(tmp_path, api_keys_file=path) as server:
        server.http.headers["authorization"] = "Bearer sk_key_to_admin"
        pool_id = server.pool()
        calls: dict[str, tuple[str, str, Any, int]] = {
            "metrics": ("GET", "/metrics", None, 200),
            "read": ("GET", "/v1/rollouts", None, 200),
            "run": ("POST", f"/v1/pools/{pool_id}/rollouts", {}, 202),
            "admin": ("POST", f"/v1/pools/{pool_id}/pause", None, 200),
        }
        for scope in SCOPES:
            headers = {"authorization": f"Bearer sk_key_to_{scope}"}
            for needed, (method, where, body, expected) in calls.items():
                answer = server.http.request(method, where, json=body, headers=headers)
                is_allowed = SCOPES.index(needed) <= SCOPES.index(scope)
                assert answer.status_code == (expected if is_allowed else 403), (scope, needed)
            answer = server.http.get("/v1/capabilities", headers=headers)
            assert answer.json().get("scopes") == (
                None if scope == "metrics" else list(SCOPES[: SCOPES.index(scope) + 1])
            )
        logs = f"/v1/pools/{pool_id}/logs"
        refused = server.http.get(logs, headers={"authorization": "Bearer sk_key_to_run"})
        assert refused.status_code == 403


def test_a_session_of_the_page_has_the_scope_of_its_key(tmp_path: Path) -> None:
    path = keys_file(tmp_path, SCOPED)
    with serve(tmp_path, api_keys_file=path) as server:
        del server.http.headers["authorization"]
        page = server.http.post("/ui/session", json={"key": "sk_key_to_read"})
        server.http.headers[TOKEN_HEADER] = page.json()["token"]
        assert server.http.get("/v1/pools").status_code == 200
        answer = server.http.post("/v1/pools", json={"name": "p"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "insufficient_scope")


def test_a_key_ends_when_its_line_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ("day: sk_key_of_day expires=2030-01-02", "key: sk_key_of_key")
    moment = "hour: sk_key_of_hour scopes=run expires=2030-01-02T03:00:00+01:00"
    path = keys_file(tmp_path, "\n".join([*lines, moment]))
    ring = KeyRing(Settings(data_dir=tmp_path, api_key=Secret("unused"), api_keys_file=path))
    midnight = datetime(2030, 1, 2, tzinfo=UTC).timestamp()
    for seconds, expected in ((-1, {"day", "hour", "key"}), (0, {"hour", "key"}), (7200, {"key"})):
        monkeypatch.setattr(clock, "unix_time", lambda now=midnight + seconds: now)
        valid = {n for n in ("day", "hour", "key") if ring.name_of(f"sk_key_of_{n}".encode()) == n}
        assert valid == expected
        assert {n for n in ("day", "hour", "key") if ring.session_secret(n)} == expected


@pytest.mark.parametrize("options", ["expires=2020-01-01", "scopes=metrics"])
def test_a_stream_ends_with_the_right_to_it(tmp_path: Path, options: str) -> None:
    path = keys_file(tmp_path, "ann: sk_key_of_ann\n")
    with serve(tmp_path, api_keys_file=path, heartbeat_seconds=0.05) as server:
        server.http.headers["authorization"] = "Bearer sk_key_of_ann"
        events = f"/v1/pools/{server.pool()}/events"
        with server.http.stream("GET", events, timeout=30) as stream:
            chunks = stream.iter_raw()
            next(chunks)
            keys_file(tmp_path, f"ann: sk_key_of_ann {options}\n")
            for _ in chunks:
                pass
        assert server.http.get("/v1/pools").status_code in (401, 403)


def test_a_backend_starts_whatever_its_first_key_may(tmp_path: Path) -> None:
    text = "old: sk_key_of_old expires=2020-01-01\nscraper: sk_key_of_scraper scopes=metrics\n"
    path = keys_file(tmp_path, text)
    with LocalBackend(tmp_path / "data", api_keys_file=path) as backend:
        assert status(backend.url, "sk_key_of_old") == 401
        assert status(backend.url, "sk_key_of_scraper") == 403


def test_rollouts_logs_and_metrics_name_the_key(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = keys_file(tmp_path, "ann: sk_key_of_ann\nbob: sk_key_of_bob scopes=run\n")
    caplog.set_level(logging.INFO, "synth_pools.backend.states")
    with serve(tmp_path, api_keys_file=path) as server:
        server.http.headers["authorization"] = "Bearer sk_key_of_ann"
        pool_id = server.pool()
        server.http.headers["authorization"] = "Bearer sk_key_of_bob"
        first = server.run(pool_id)
        batch = {"pool_id": pool_id, "rollouts": [{"seed": 1}, {"seed": 2}]}
        items = server.send("POST", "/v1/rollouts/batch", json=batch).json()["items"]
        again = server.send("POST", f"/v1/rollouts/{first['id']}/replay", json={}).json()
        ids = [first["id"], again["id"], *(item["rollout"]["id"] for item in items)]
        for rollout_id in ids:
            assert server.until(rollout_id)["created_by"] == "bob"
        listed = server.send("GET", f"/v1/pools/{pool_id}/rollouts").json()["items"]
        assert {rollout["created_by"] for rollout in listed} == {"bob"}
        server.http.headers["authorization"] = "Bearer sk_key_of_ann"
        by_ann = server.send("POST", f"/v1/rollouts/{first['id']}/replay", json={}).json()
        assert by_ann["created_by"] == "ann"
        server.until(by_ann["id"])
        server.send("POST", f"/v1/pools/{pool_id}/pause")
        metrics = server.http.get("/metrics").text
    assert 'synth_pools_key_rollouts_admitted_total{key="bob"} 4.0' in metrics
    assert 'synth_pools_key_rollouts_admitted_total{key="ann"} 1.0' in metrics
    assert 'synth_pools_key_requests_total{key="bob",status="2xx"}' in metrics
    logged = [vars(record)["fields"] for record in caplog.records if "fields" in vars(record)]
    # Backends of other tests write into the same log.
    fields = [field for field in logged if field["pool_id"] == pool_id]
    names = {field["rollout_id"]: field["created_by"] for field in fields if "rollout_id" in field}
    assert names == dict.fromkeys(ids, "bob") | {by_ann["id"]: "ann"}
    assert [f["key"] for f in fields if "rollout_id" not in f] == ["ann", "ann"]


def test_a_rollout_keeps_the_name_of_its_key(tmp_path: Path) -> None:
    path = keys_file(tmp_path, "ann: sk_key_of_ann\n")
    with LocalBackend(tmp_path / "data", api_keys_file=path) as backend, backend.client() as client:
        pool_id = client.create_pool({"name": "p"})["id"]
        rollout_id = client.create_rollout(pool_id, {"mode": "sync"})["id"]
    # A key without a name, after a restart.
    with LocalBackend(tmp_path / "data") as backend, backend.client() as client:
        assert client.get_rollout(pool_id, rollout_id)["created_by"] == "ann"
        assert client.create_rollout(pool_id, {})["created_by"] is None
