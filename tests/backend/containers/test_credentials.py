"""The key of containers: sent to them, and nowhere else to be seen."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from synth_pools.backend.containers.credentials import container_key, holds_key, mask_key
from synth_pools.backend.domain import json_text
from synth_pools.backend.rollouts import attempts
from synth_pools.backend.settings import Secret, Settings
from tests.cli.local.test_serve import serve as serve_command
from tests.support.backend_server import Server, eventually, serve
from tests.support.containers import OddContainer, Seen, http, odd_container

KEY_VALUE = "ck_5f1d0c9a8b7e6d5c"
NAME = "CONTAINER_API_KEY_OF_THE_TESTS"
CONFIG = {"container_key_env": NAME}


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, KEY_VALUE)
    monkeypatch.setattr(attempts, "_FIRST_PAUSE", 0.01)


class Asking:
    """A container that wants the key, and tells everybody about it."""

    def __call__(self, request: Seen) -> bytes | None:
        key = request.headers.get("x-api-key")
        if key != KEY_VALUE:
            return http(401, {"detail": f"wrong key: {key}"})
        if request.method == "GET":
            return http(200, {"status": "running", "headers": request.headers})
        if request.path.endswith("/terminate"):
            return http(200, {})
        if (request.json.get("params") or {}).get("hang"):
            return None
        if (request.json.get("params") or {}).get("break"):
            return http(500, f"the key was {key}".encode())
        if request.json.get("submission_mode") == "async":
            return http(200, {"status": "running", "headers": request.headers})
        return http(200, {"status": "completed", "reward": 1, "headers": request.headers})


@pytest.fixture
def container() -> Iterator[OddContainer]:
    askers = Asking()
    with odd_container(askers, askers) as running:
        yield running


def keys_sent(container: OddContainer) -> set[tuple[str, str | None]]:
    return {
        (f"{request.method} {request.path.split('/rollout_')[0]}", request.headers.get("x-api-key"))
        for request in (*container.requests, *container.checks)
    }


def test_it_goes_with_every_call_and_comes_back_in_none(
    tmp_path: Path, container: OddContainer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    texts: list[str] = []
    with serve(tmp_path, probe_timeout_seconds=1, health_interval_seconds=0.1) as backend:
        config = {**CONFIG, "timeout_seconds": 5}
        pool_id = backend.pool(
            container_urls=[container.url],
            config=config,
            tasks=[{"task_id": "t", "container_url": container.url}],
        )
        path = f"/v1/pools/{pool_id}"
        done = backend.run(pool_id)
        assert done["result"]["headers"]["x-api-key"] == "***"
        broken = backend.run(pool_id, params={"break": True}, limits={"max_attempts": 2})
        assert broken["error"]["details"]["body"] == "the key was ***"
        assert backend.run(pool_id, task_id="t")["status"] == "completed"
        hanging = backend.rollout(pool_id, params={"hang": True})["id"]
        eventually(lambda: any(b"hang" in request.body for request in container.requests))
        backend.post(f"/v1/rollouts/{hanging}/cancel")
        backend.call("PATCH", path, json={"config": {"submission_mode": "async"}})
        polled = backend.rollout(pool_id)["id"]
        eventually(lambda: f"GET /rollouts/{polled}" in container.paths())
        backend.post(f"/v1/rollouts/{polled}/cancel")
        for route in ("health", "info", "metadata"):
            texts.append(backend.http.get(f"{path}/container/{route}").text)
            texts.append(backend.http.get(f"{path}/tasks/t/container/{route}").text)
        texts.append(backend.http.post(f"{path}/container/rollout", json={"x": 1}).text)
        eventually(lambda: len(container.checks) > 1)
        eventually(lambda: f"POST /rollouts/{polled}/terminate" in container.paths())
        paths = ["/v1/pools", "/metrics"]
        for rollout_id in (done["id"], broken["id"], hanging, polled):
            of_rollout = ("", "/events", "/summary", "/artifacts", "/usage")
            paths += [f"/v1/rollouts/{rollout_id}{suffix}" for suffix in of_rollout]
        paths += [path + suffix for suffix in ("", "/metrics", "/urls", "/tasks", "/rollouts")]
        texts += [backend.http.get(path).text for path in paths]
        texts.append(repr(backend.services))
        texts.append(
            repr(
                [
                    (member, member.container)
                    for member in backend.services.balancer.members(pool_id)
                ]
            )
        )
        texts.append(repr(vars(backend.services.runner)))
    assert keys_sent(container) == {
        ("POST /rollouts", KEY_VALUE),
        ("GET /rollouts", KEY_VALUE),
        ("GET /health", KEY_VALUE),
        ("GET /info", KEY_VALUE),
        ("GET /metadata", KEY_VALUE),
    }
    assert any("terminate" in request.path for request in container.requests)
    texts.append(caplog.text)
    assert NAME in "".join(texts)
    assert KEY_VALUE not in "".join(texts)
    for file in tmp_path.rglob("*"):
        if file.is_file():
            assert KEY_VALUE.encode() not in file.read_bytes(), file


@pytest.mark.parametrize("head", ["HTTP/1.1 2x0 {}", "HTTP/1.1 200 OK\r\nx-\x00y: {}"])
def test_it_does_not_come_back_in_what_is_no_http(server: Server, head: str) -> None:
    def answer(request: Seen) -> bytes:
        return f"{head.format(request.headers['x-api-key'])}\r\n\r\n".encode()

    with odd_container(answer) as container:
        pool_id = server.pool(container_url=container.url, config=CONFIG)
        cause = server.run(pool_id)["error"]["details"]["cause"]
    assert "no HTTP" in cause
    assert KEY_VALUE not in cause


@pytest.mark.parametrize(
    "escape",
    [str, lambda text: text.replace("/", "\\/"), lambda text: text.replace("_", "\\u005F")],
)
def test_it_does_not_come_back_as_an_escape(
    server: Server, monkeypatch: pytest.MonkeyPatch, escape: Callable[[str], str]
) -> None:
    value = 'ck_"5f1/d0c\\9a8b'
    monkeypatch.setenv(NAME, value)

    def answer(request: Seen) -> bytes:
        return http(
            200, escape(json.dumps({"reward": 1, "key": request.headers["x-api-key"]})).encode()
        )

    with odd_container(answer) as container:
        pool_id = server.pool(container_url=container.url, config=CONFIG)
        assert server.run(pool_id)["result"] == {"reward": 1, "key": "***"}


def test_it_does_not_come_back_in_a_large_answer() -> None:
    filling = "x" * (700 * 1024)
    escaped = "".join(f"\\u{ord(character):04X}" for character in KEY_VALUE)
    raw = f'{{"a": "{filling}", "b": "{escaped}", "c": "{filling}"}}'.encode()
    expected = {"a": filling, "b": "***", "c": filling}
    assert json.loads(mask_key(Secret(KEY_VALUE), raw)) == expected
    # Wherever the parts meet in which it is looked for.
    for shift in range(0, len(escaped), 7):
        raw = b'{"a": "' + b"y" * (256 * 1024 - 7 - shift) + escaped.encode() + b'"}'
        assert mask_key(Secret(KEY_VALUE), raw).endswith(b'y***"}')


def test_a_key_that_is_too_short_to_be_masked(
    server: Server, monkeypatch: pytest.MonkeyPatch, container: OddContainer
) -> None:
    monkeypatch.setenv(NAME, "ck_5678")
    observed = refused_everywhere(server, CONFIG)
    assert NAME in observed
    assert "8 characters" in observed
    assert "ck_5678" not in observed
    monkeypatch.setenv(NAME, KEY_VALUE)
    pool_id = server.pool(container_url=container.url, config=CONFIG)
    monkeypatch.setenv(NAME, "ck_5678")
    error = server.run(pool_id)["error"]
    assert error["details"]["cause"] == "container_key_missing"
    assert "ck_5678" not in json.dumps(error)
    assert not container.requests


def test_a_pool_that_names_none_sends_none(server: Server, container: OddContainer) -> None:
    rollout = server.run(server.pool(container_url=container.url))
    assert rollout["error"]["details"]["status"] == 401
    assert {key for _, key in keys_sent(container)} == {None}


def test_one_address_with_and_without_a_key(server: Server, container: OddContainer) -> None:
    with_key = server.pool(container_url=container.url, config=CONFIG)
    without_key = server.pool(container_url=container.url)
    assert server.run(with_key)["status"] == "completed"
    assert server.run(without_key)["status"] == "failed"
    server.call("PATCH", f"/v1/pools/{without_key}", json={"config": CONFIG})
    assert server.run(without_key)["status"] == "completed"
    changed = {"config": {"container_key_env": None}}
    server.call("PATCH", f"/v1/pools/{with_key}", json=changed)
    assert server.run(with_key)["status"] == "failed"


BAD_NAMES = [
    "PATH",
    "HOME",
    "SYNTH_API_KEY",
    "SYNTH_POOLS_API_KEY",
    "environment_api_key",
    "MY_KEY",
]


@pytest.mark.parametrize("name", [*BAD_NAMES, "CONTAINER_API_KEY_UNSET", "ENVIRONMENT_API_KEY"])
def test_names_that_are_refused(server: Server, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("MY_KEY", KEY_VALUE)
    monkeypatch.delenv("ENVIRONMENT_API_KEY", raising=False)
    refused_everywhere(server, {"container_key_env": name})


@pytest.mark.parametrize("value", ["", "two\nlines", "nul", "umläut", " x", "x ", "\x7f"])
def test_values_that_no_header_can_have(
    server: Server, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    if value != "nul":
        monkeypatch.setenv(NAME, value)
    else:
        monkeypatch.delenv(NAME)
    observed = refused_everywhere(server, CONFIG)
    assert NAME in observed
    if len(value) > 2:
        assert value not in observed


def refused_everywhere(server: Server, config: dict[str, Any]) -> str:
    pool_id = server.pool()
    path = f"/v1/pools/{pool_id}"
    texts = ""
    for method, where, body in (
        ("POST", "/v1/pools", {"name": "n", "config": config}),
        ("POST", "/v1/pools", {"name": "n", "pool_config": config}),
        ("PUT", path, {"name": "n", "config": config}),
        ("PATCH", path, {"config": config}),
        ("PATCH", path, {"pool_config": config}),
    ):
        refused = server.refused(method, where, 403, "forbidden_container_key", json=body)
        texts = refused["detail"]
    assert server.get(path)["config"] == {}
    return str(texts)


@pytest.mark.parametrize("name", ["not a name", "A=B", "1A", "A" * 129, "", "Ä"])
def test_what_is_no_name(server: Server, name: str) -> None:
    body = {"name": "n", "config": {"container_key_env": name}}
    server.refused("POST", "/v1/pools", 422, "validation_failed", json=body)


@pytest.mark.parametrize("name", ["ENVIRONMENT_API_KEY", "CONTAINER_API_KEY", NAME, "MY_KEY"])
def test_names_that_are_allowed(
    start: Callable[..., Server], container: OddContainer, monkeypatch: Any, name: str
) -> None:
    backend = start(container_key_envs=("MY_KEY",))
    monkeypatch.setenv(name, KEY_VALUE)
    pool_id = backend.pool(container_url=container.url, config={"container_key_env": name})
    assert backend.get(f"/v1/pools/{pool_id}")["config"] == {"container_key_env": name}
    assert backend.run(pool_id)["status"] == "completed"


def test_the_command_line_names_variables_and_paces_checks(
    tmp_path: Path, container: OddContainer
) -> None:
    options = ["--port", "0", "--container-key-env", "MY_KEY", "--health-interval", "0.1"]
    with serve_command(tmp_path, *options, MY_KEY=KEY_VALUE) as serving:
        with serving.client() as client:
            config = {"container_key_env": "MY_KEY"}
            body = {"pool_id": "p", "name": "n", "container_url": container.url, "config": config}
            assert client.post("/v1/pools", json=body).status_code == 201
            rollout = client.post("/v1/pools/p/rollouts", json={"mode": "sync"}).json()
            assert rollout["status"] == "completed"
            eventually(lambda: len(container.checks) > 4)
        status, errors = serving.end()
    assert status == 0
    assert {key for _, key in keys_sent(container)} == {KEY_VALUE}
    assert KEY_VALUE not in errors + serving.printed


def test_a_key_that_has_gone_fails_rollouts_and_nothing_else(
    tmp_path: Path, container: OddContainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve(tmp_path) as before:
        pool_id = before.pool(container_urls=[container.url], config=CONFIG)
        assert before.run(pool_id)["status"] == "completed"
    monkeypatch.delenv(NAME)
    with serve(tmp_path, health_interval_seconds=0.05) as after:
        request_count = len(container.requests)
        rollout = after.run(pool_id, limits={"max_attempts": 5})
        assert rollout["error"]["code"] == "container_unreachable"
        assert rollout["error"]["details"]["cause"] == "container_key_missing"
        assert after.types(rollout["id"]).count("rollout.started") == 1
        path = f"/v1/pools/{pool_id}"
        for method, where in (("GET", "health"), ("POST", "rollout")):
            body: dict[str, Any] | None = {} if method == "POST" else None
            refused = after.refused(
                method, f"{path}/container/{where}", 502, "container_unreachable", json=body
            )
            assert refused["error"]["details"]["cause"] == "container_key_missing"
        assert len(container.requests) == request_count
        # Fields that do not concern the key can still be changed.
        after.call("PATCH", path, json={"name": "new", "config": {"timeout_seconds": 5}})
        monkeypatch.setenv(NAME, KEY_VALUE)
        assert after.run(pool_id)["status"] == "completed"


def test_a_name_that_is_not_allowed_any_more(
    tmp_path: Path, container: OddContainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", KEY_VALUE)
    config = {"container_key_env": "MY_KEY"}
    with serve(tmp_path, container_key_envs=("MY_KEY",)) as before:
        pool_id = before.pool(container_urls=[container.url], config=config)
    with serve(tmp_path) as after:
        request_count = len(container.requests)
        error = after.run(pool_id, limits={"max_attempts": 5})["error"]
        assert error["code"] == "container_unreachable"
        assert error["details"]["cause"] == "forbidden_container_key"
        path = f"/v1/pools/{pool_id}/container/health"
        after.refused("GET", path, 403, "forbidden_container_key")
        assert len(container.requests) == request_count


def test_a_key_shows_itself_in_no_traceback(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, api_key=Secret("sk_x"))
    key = container_key(NAME, "http://127.0.0.1:1", settings)
    assert KEY_VALUE not in f"{key} {key!r}"
    with pytest.raises(TypeError) as raised:
        mask_key(key, None)  # type: ignore[arg-type]
    assert KEY_VALUE not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize(
    ("key", "raw", "expected"),
    [
        ("ck_12345", b'{"a": "ck_12345", "b": "xck_12345x"}', b'{"a":"***","b":"x***x"}'),
        ("ck_12345", b"\xff ck_1234", b"\xff ck_1234"),
        # In names, and in any escape, also of JSON within a string.
        ("ck_+2345", b'{"ck_\\u002B2345": [{"\\u0063k_+2345": 1.50}]}', b'{"***":[{"***":1.5}]}'),
        (
            "ck_+2345",
            b'{"a": "{\\"k\\": \\"ck_\\\\u002b2345\\"}"}',
            b'{"a":"{\\"k\\": \\"***\\"}"}',
        ),
        ("ck_/2345", b"<p>ck_\\/2345</p>", b"<p>***</p>"),
        ("ck_\\2345", b'{"a": "ck_\\\\2345"}', b'{"a":"***"}'),
        # A line break before it is no part of an escape of its first character.
        ("nck_2345", b'{"a": "\\nck_2345 \\nnck_2345"}', b'{"a":"\\nck_2345 \\n***"}'),
    ],
)
def test_what_is_taken_out_of_an_answer(key: str, raw: bytes, expected: bytes) -> None:
    assert mask_key(Secret(key), raw) == expected


@pytest.mark.parametrize("spelling", [r"\u006b", r"\\u006B", "k"])
def test_a_key_across_the_parts_that_are_searched_is_found(spelling: str) -> None:
    key = Secret("k" * 40)
    written = (spelling * 40).encode()
    for before in (0, json_text.LARGE - len(written), json_text.LARGE - 1):
        # A backslash elsewhere makes it worth to search for other spellings.
        raw = b"x" * before + written + rb"\n" + b"x" * 1000
        assert holds_key(key, raw)
        assert not holds_key(key, raw.replace(written, written[: -len(spelling)]))
