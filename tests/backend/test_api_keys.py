"""Several keys with names in a file, which change while the backend runs."""

from __future__ import annotations

import hmac
import logging
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from synth_pools.backend.api_keys import KeyRing, read_keys_file
from synth_pools.backend.errors import BadOptionError
from synth_pools.backend.settings import Secret, Settings
from synth_pools.local import LocalBackend
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
    path = keys_file(tmp_path, "# who\nann: sk_ann_1\n\n  bob :sk_bob_1  \n")
    with LocalBackend(tmp_path / "data", api_keys_file=path) as backend:
        assert backend.api_key == "sk_ann_1"
        for key, expected in (("sk_ann_1", 200), ("sk_bob_1", 200), ("sk_ann", 401), ("ann", 401)):
            assert status(backend.url, key) == expected
        keys_file(tmp_path, "ann: sk_ann_2\nbob: sk_bob_1\n")
        eventually(lambda: status(backend.url, "sk_ann_2") == 200)
        assert status(backend.url, "sk_ann_1") == 401
        assert status(backend.url, "sk_bob_1") == 200
    assert not (tmp_path / "data" / "api-key").exists()


def test_a_file_that_cannot_be_used_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, failures: list[str]
) -> None:
    path = keys_file(tmp_path, "ann: sk_ann_1\n")
    with LocalBackend(tmp_path / "data", api_keys_file=path) as backend:

        def is_told(times: int) -> bool:
            return status(backend.url, "sk_ann_1") == 200 and len(failures) == times

        bad = [("", 0o600), ("ann: sk_ann_2\n", 0o644), ("sk_secret words\n", 0o600)]
        for number, (text, mode) in enumerate(bad, 1):
            keys_file(tmp_path, text, mode)
            eventually(partial(is_told, number))
        path.unlink()
        eventually(partial(is_told, 4))
        assert status(backend.url, "sk_ann_2") == 401
        with caplog.at_level(logging.WARNING, "synth_pools.backend"):
            keys_file(tmp_path, "ann: sk_ann_3\n")
            eventually(lambda: status(backend.url, "sk_ann_3") == 200)
        assert "ann" in caplog.text
    assert all("the keys stay as they were" in line for line in failures)
    assert "sk_" not in "".join(failures) + caplog.text
    failures.clear()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no keys"),
        ("# none\n", "holds no keys"),
        ("sk_secret\n", "line 1"),
        ("a: sk_secret\nb sk_secret\n", "line 2"),
        (": sk_secret\n", "line 1"),
        ("a b: sk_secret\n", "line 1"),
        ("a: sk_secret words\n", "ASCII"),
        ("a: sk_secretä\n", "ASCII"),
        ("a:\n", "blank"),
        ("a: sk_secret\na: sk_secret2\n", "another line"),
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
    path = keys_file(tmp_path, "a: sk_a\n", mode)
    with pytest.raises(BadOptionError, match=f"{mode:04o}.*chmod 600"):
        LocalBackend(api_keys_file=path)
    path.chmod(0o600)
    with pytest.raises(BadOptionError, match="not both"):
        LocalBackend(api_keys_file=path, api_key="sk_b")
    with pytest.raises(BadOptionError, match="cannot read"):
        LocalBackend(api_keys_file=tmp_path / "nowhere")


def test_every_key_is_compared_whichever_is_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = keys_file(tmp_path, "a: sk_a\nb: sk_b\nc: sk_c\n")
    ring = KeyRing(Settings(data_dir=tmp_path, api_key=Secret("unused"), api_keys_file=path))
    compared: list[tuple[int, int]] = []
    genuine: Callable[[bytes, bytes], bool] = hmac.compare_digest

    def watched(left_digest: bytes, right_digest: bytes) -> bool:
        compared.append((len(left_digest), len(right_digest)))
        return genuine(left_digest, right_digest)

    monkeypatch.setattr("synth_pools.backend.api_keys.hmac.compare_digest", watched)
    for candidate, name in ((b"sk_a", "a"), (b"sk_c", "c"), (b"x", None), (b"", None)):
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
    path = keys_file(tmp_path, "ann: sk_ann\n")
    arguments = ["--port", "0", "--data-dir", str(tmp_path / "d"), "--api-keys-file", str(path)]
    with serve_command(tmp_path, *arguments) as serving:
        assert status(serving.url, "sk_ann") == 200
        assert "sk_ann" not in serving.printed
        assert str(path) in serving.printed
    refused = run(tmp_path, "serve", *arguments, "--api-key", "sk_b")
    assert "not both" in refused.stderr


@pytest.mark.parametrize("is_of_the_page", [False, True])
def test_streams_of_a_key_that_was_removed_end(tmp_path: Path, is_of_the_page: bool) -> None:
    path = keys_file(tmp_path, "ann: sk_ann\nbob: sk_bob\n")
    with serve(tmp_path, api_keys_file=path, heartbeat_seconds=0.05) as server:
        ann = {"authorization": "Bearer sk_ann"}
        server.http.headers["authorization"] = "Bearer sk_bob"
        pool_id = server.pool()
        if is_of_the_page:
            del server.http.headers["authorization"]
            page = server.http.post("/ui/session", json={"key": "sk_ann"})
            assert page.status_code == 200, page.text
            ann = {TOKEN_HEADER: page.json()["token"]}
        events = f"/v1/pools/{pool_id}/events"
        with server.http.stream("GET", events, headers=ann, timeout=30) as stream:
            assert stream.status_code == 200
            chunks = stream.iter_raw()
            next(chunks)
            keys_file(tmp_path, "bob: sk_bob\n")
            for _ in chunks:
                pass
        server.http.cookies.clear()
        bob = {"authorization": "Bearer sk_bob"}
        with server.http.stream("GET", events, headers=bob) as stream:
            chunks = stream.iter_raw()
            keys_file(tmp_path, "bob: sk_bob\ncid: sk_cid\n")
            eventually(lambda: status(server.url, "sk_cid") == 200)
            # Streams of valid keys continue.
            assert [bool(next(chunks)) for _ in range(3)] == [True] * 3


def test_an_idempotency_key_counts_for_the_key_that_sent_it(tmp_path: Path) -> None:
    path = keys_file(tmp_path, "ann: sk_ann\nbob: sk_bob\n")
    with serve(tmp_path, api_keys_file=path) as server:

        def created(who: str, path: str, body: dict[str, Any]) -> str:
            headers = {"authorization": f"Bearer sk_{who}", "idempotency-key": "run-1"}
            answer = server.send("POST", path, json=body, headers=headers)
            assert answer.status_code in (200, 202), answer.text
            return str((answer.json().get("rollouts") or [answer.json()])[0]["id"])

        server.http.headers["authorization"] = "Bearer sk_ann"
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
