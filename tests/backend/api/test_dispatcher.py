"""Rules for every request: keys, paths, bodies."""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from synth_pools.backend.domain.json_text import MAX_DEPTH
from synth_pools.spec import load_spec
from tests.support import document
from tests.support.backend_server import KEY, Server, eventually

MIB = 1024 * 1024
OPERATIONS = [
    (operation.method.upper(), operation.path) for operation in document.OPERATIONS.values()
]
JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer wrong",
        f"Bearer {KEY}x",
        f"Bearer {KEY[:-1]}",
        f"Basic {KEY}",
        KEY,
        "Bearer ä",
    ],
)
def test_nothing_under_v1_is_open(server: Server, authorization: str | None) -> None:
    headers = [] if authorization is None else [(b"authorization", authorization.encode("latin-1"))]
    paths = [*OPERATIONS, ("GET", "/v1"), ("GET", "/v1/"), ("POST", "/v1/unknown")]
    with httpx.Client(base_url=server.url, timeout=60) as stranger:
        for method, path in paths:
            answer = stranger.request(method, path, headers=headers)
            assert answer.status_code == 401, (method, path)
            assert answer.headers["www-authenticate"] == "Bearer"
            assert answer.json()["error"]["code"] == "unauthorized"
            assert answer.json()["error"]["request_id"] == answer.headers["x-request-id"]


def test_the_scheme_is_written_in_any_case(server: Server) -> None:
    for scheme in ("bearer", "BEARER", "Bearer "):
        server.get("/v1/pools", headers={"authorization": f"{scheme} {KEY}"})


def test_health_is_open_and_says_no_more_than_that(server: Server) -> None:
    def healthy(method: str) -> httpx.Response | None:
        # A database that is busy for two seconds is unhealthy.
        answer = httpx.request(method, f"{server.url}/health")
        return answer if answer.status_code == 200 else None

    assert eventually(lambda: healthy("GET")).json() == {"status": "ok"}
    assert eventually(lambda: healthy("HEAD")).content == b""


@pytest.mark.parametrize(
    "path",
    [
        "/index.html",
        "/v1",
        "/v1/",
        "/v1/pools/",
        "/v1//pools",
        "//v1/pools",
        "/v1/pools/a//rollouts",
        "/v1/pools/a/rollouts/",
        "/v1/nothing",
        "/v2/pools",
        "/v1/pools%2Fa",
        "/v1/pools/%ff",
        "/V1/pools",
        "/health/",
    ],
)
def test_an_unknown_path_is_a_json_404(server: Server, path: str) -> None:
    status, headers, body = raw(server, f"GET {path} HTTP/1.1")
    assert status == 404
    assert json.loads(body)["error"]["code"] == "not_found"
    assert headers["content-type"] == "application/json"


@pytest.mark.parametrize("method", ["TRACE", "QUERY", "OPTIONS", "HEAD", "PUT", "DELETE", "pAtCh"])
def test_another_method_is_a_json_405(server: Server, method: str) -> None:
    status, headers, body = raw(server, f"{method} /v1/pools HTTP/1.1")
    assert (status, headers["allow"]) == (405, "GET, POST")
    if method != "HEAD":
        assert json.loads(body)["error"]["code"] == "method_not_allowed"


def test_a_slash_in_an_id_selects_no_other_operation(server: Server) -> None:
    pool_id = server.pool(tasks=[{"task_id": "t"}])
    for path in (
        f"/v1/pools/{pool_id}%2Furls",
        f"/v1/pools/{pool_id}%2Ftasks%2Ft/container/health",
        f"/v1/pools/..%2F{pool_id}",
        "/v1/pools/%2e%2e",
    ):
        status, _, body = raw(server, f"GET {path} HTTP/1.1")
        assert (status, json.loads(body)["error"]["code"]) == (404, "pool_not_found")
    status, _, body = raw(server, f"GET /v1/pools/%70{pool_id[1:]} HTTP/1.1")
    assert (status, json.loads(body)["id"]) == (200, pool_id)


@pytest.mark.parametrize("pool_id", ["a\x00b", "ü", "a b", "a" * 255, "😀", "."])
def test_an_id_that_nothing_can_have_is_not_found(server: Server, pool_id: str) -> None:
    path = "/v1/pools/" + "".join(f"%{byte:02X}" for byte in pool_id.encode())
    server.refused("GET", path, 404, "pool_not_found")
    server.refused("DELETE", path, 404, "pool_not_found")


def test_an_id_beyond_the_limit_is_invalid(server: Server) -> None:
    body = server.refused("GET", f"/v1/pools/{'a' * 256}", 422, "validation_failed")
    assert body["detail"][0]["loc"] == ["path", "pool_id"]


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=1001",
        "limit=-1",
        "limit=x",
        "limit=",
        "limit=1.5",
        "limit=1e2",
        "limit=" + "9" * 5000,
        "limit=1&limit=2",
        "state=" + "x" * 65,
        "cursor=" + "x" * 513,
    ],
)
def test_a_parameter_outside_its_bounds_is_named(server: Server, query: str) -> None:
    body = server.refused("GET", f"/v1/pools?{query}", 422, "validation_failed")
    (fault,) = body["detail"]
    assert fault["loc"] == ["query", query.partition("=")[0]]
    assert fault["msg"]
    assert fault["type"]


def test_parameters_within_their_bounds_are_read(server: Server) -> None:
    for query in (
        "limit=1",
        "limit=1000",
        "unknown=1",
        "limti=1&limti=2",
        "cursor=",
        "state=",
        "cursor=%ff",
        "&&",
    ):
        server.get(f"/v1/pools?{query}")


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"{", "line 1"),
        (b"{'a': 1}", "line 1"),
        (b'{"name": NaN}', "NaN"),
        (b'{"name": "n", "a": [-Infinity]}', "-Infinity"),
        (b'{"name": "n", "a": 1e999}', "too large"),
        (b'{"name": "n", "a": ' + b"9" * 5000 + b"}", "digits"),
        (b'\xef\xbb\xbf{"name": "n"}', "BOM"),
        ('{"name": "n"}'.encode("utf-16"), "UTF-8"),
        (b'{"name": "\xed\xa0\x80"}', "UTF-8"),
        (b'{"name": "n"} x', "Extra data"),
        (b'{"name": "a\nb"}', "control character"),
        (b" ", "line 1"),
        (b"[" * 100_000, "deep"),
        (b'{"name":"n","a":' + b"[" * 500 + b"]" * 500 + b"}", "deep"),
    ],
)
def test_broken_json_is_400(server: Server, content: bytes, fault: str) -> None:
    pool_id = server.pool()
    for method, path in (
        ("POST", "/v1/pools"),
        ("PATCH", f"/v1/pools/{pool_id}"),
        ("POST", f"/v1/pools/{pool_id}/rollouts"),
        ("POST", f"/v1/pools/{pool_id}/container/rollout"),
    ):
        body = server.refused(method, path, 400, "bad_request", content=content, headers=JSON)
        assert fault in body["detail"]


def test_what_is_just_not_too_deep_is_kept(server: Server) -> None:
    deep: Any = 1.5
    for level in range(MAX_DEPTH - 2):
        deep = [deep] if level % 2 else {"a": deep}
    pool = server.get(f"/v1/pools/{server.pool(metadata={'a': deep})}")
    assert pool["metadata"]["a"] == deep
    patched = server.call("PATCH", f"/v1/pools/{pool['id']}", json={"metadata": {"b": deep}})
    assert patched["metadata"] == {"a": deep, "b": deep}
    request = {"metadata": {"a": deep}, "mode": "sync"}
    headers = {"idempotency-key": "deep"}
    rollout = server.post(f"/v1/pools/{pool['id']}/rollouts", request, headers=headers)
    assert rollout["result"]["echo"]["metadata"] == {"a": deep}
    assert server.get(f"/v1/pools/{pool['id']}/rollouts")["items"] == [rollout]


def test_a_body_must_say_that_it_is_json(server: Server) -> None:
    content = b'{"name": "n"}'
    for media_type in ("text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""):
        headers = {"content-type": media_type}
        server.refused(
            "POST", "/v1/pools", 415, "unsupported_media_type", content=content, headers=headers
        )
    server.refused("POST", "/v1/pools", 415, "unsupported_media_type", content=content)
    for media_type in ("application/json; charset=utf-8", "Application/JSON ;x=y"):
        headers = {"content-type": media_type}
        assert server.http.post("/v1/pools", content=content, headers=headers).status_code == 201


@pytest.mark.parametrize("headers", [JSON, {}, {"content-type": "text/plain"}])
def test_a_missing_body_is_named(server: Server, headers: dict[str, str]) -> None:
    body = server.refused("POST", "/v1/pools", 422, "validation_failed", headers=headers)
    assert body["detail"] == [{"loc": ["body"], "msg": "is required", "type": "required"}]


@pytest.mark.parametrize(
    ("body", "location"),
    [
        ([], ["body"]),
        ("x", ["body"]),
        ({"name": ""}, ["body", "name"]),
        ({"name": "n" * 256}, ["body", "name"]),
        ({"name": 1}, ["body", "name"]),
        ({"name": "n", "id": "/"}, ["body", "id"]),
        ({"name": "n", "pool_id": "a" * 129}, ["body", "pool_id"]),
        ({"name": "n", "id": "a\n"}, ["body", "id"]),
        ({"name": "n", "concurrency": 0}, ["body", "concurrency"]),
        ({"name": "n", "concurrency": 1.5}, ["body", "concurrency"]),
        ({"name": "n", "capacity": True}, ["body", "capacity"]),
        ({"name": "n", "target": "nowhere"}, ["body", "target"]),
        ({"name": "n", "config": {"timeout_seconds": 0}}, ["body", "config", "timeout_seconds"]),
        ({"name": "n", "tasks": [{}, {"id": "?"}]}, ["body", "tasks", 1, "id"]),
        ({"name": "n", "container_url": "ftp://127.0.0.1"}, ["body", "container_url"]),
        ({"name": "n", "container_url": "127.0.0.1:80"}, ["body", "container_url"]),
        ({"name": "n", "container_url": "http://a\nb"}, ["body", "container_url"]),
    ],
)
def test_an_invalid_body_is_422_and_says_where(
    server: Server, body: Any, location: list[str | int]
) -> None:
    refused = server.refused("POST", "/v1/pools", 422, "validation_failed", json=body)
    assert location in [fault["loc"] for fault in refused["detail"]]


def test_a_rollout_request_has_twenty_keys_and_no_others(server: Server) -> None:
    pool_id = server.pool()
    for path in (f"/v1/pools/{pool_id}/rollouts", "/v1/rollouts"):
        for key in ("polciy", "container_url", "\ud800"):
            server.refused("POST", path, 422, "validation_failed", json={key: 1, "seed": 1})
    assert server.get(f"/v1/pools/{pool_id}/rollouts")["items"] == []


def test_a_fault_shows_little_of_a_large_body(server: Server) -> None:
    body = {"name": "n", "target": "x" * 100_000, "tasks": [{"id": "?"}] * 500}
    refused = server.refused("POST", "/v1/pools", 422, "validation_failed", json=body)
    assert len(json.dumps(refused)) < 20_000


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_above_16_mib_is_413(server: Server, chunked: bool) -> None:
    def content(size: int) -> Any:
        complete = b'{"name": "n", "a": "' + b"x" * (size - 22) + b'"}'
        return iter([complete[:MIB], complete[MIB:]]) if chunked else complete

    fits = server.http.post("/v1/pools", content=content(16 * MIB), headers=JSON)
    assert fits.status_code == 201
    pool_id = fits.json()["id"]
    server.refused(
        "POST", "/v1/pools", 413, "payload_too_large", content=content(16 * MIB + 1), headers=JSON
    )
    assert len(server.get(f"/v1/pools/{pool_id}")["a"]) == 16 * MIB - 22
    server.call("DELETE", f"/v1/pools/{pool_id}")
    server.call("PUT", f"/v1/pools/{server.pool()}", json={"name": "still here"})


def test_a_body_that_does_not_come_is_not_waited_for(start: Callable[..., Server]) -> None:
    backend = start(body_timeout_seconds=0.2)
    head = f"POST /v1/pools HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {KEY}\r\n"
    head += "content-type: application/json\r\ncontent-length: 100\r\n\r\n{"
    with socket.create_connection(("127.0.0.1", httpx.URL(backend.url).port or 0), 60) as wire:
        wire.sendall(head.encode())
        assert wire.recv(65536).startswith(b"HTTP/1.1 400 ")
    with socket.create_connection(("127.0.0.1", httpx.URL(backend.url).port or 0), 60) as wire:
        wire.sendall(head.encode())
    assert backend.get("/v1/pools")["items"] == []


def test_every_answer_has_a_request_id_of_its_own(server: Server) -> None:
    pool_id = server.pool()
    rollout_id = server.run(pool_id)["id"]
    ids = [
        server.http.get(path).headers["x-request-id"]
        for path in (
            "/health",
            "/nowhere",
            "/v1/pools",
            "/v1/pools",
            "/v1/pools/nowhere",
            f"/v1/rollouts/{rollout_id}/events",
        )
    ]
    assert len(set(ids)) == len(ids)


def test_a_crash_is_a_500_that_tells_the_client_nothing(
    server: Server, failures: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        raise RuntimeError("a secret of the inside")

    monkeypatch.setattr("synth_pools.backend.api.handlers.service.rollouts.count_unfinished", crash)
    body = server.refused("GET", "/v1/queue/status", 500, "internal_error")
    assert "secret" not in json.dumps(body)
    (line,) = failures
    assert body["error"]["request_id"] in line
    assert "get_queue_status" in line
    failures.clear()


def test_a_departure_from_the_spec_is_noticed(
    server: Server, failures: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("synth_pools.backend.api.handlers.service.DEFAULT_TARGET", 1)
    server.refused("GET", "/v1/capabilities", 500, "internal_error")
    (line,) = failures
    assert "get_capabilities" in line
    assert "targets/0" in line
    failures.clear()


def test_a_departure_in_a_stream_breaks_it_off(
    server: Server, failures: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rollout_id = server.run(server.pool())["id"]
    monkeypatch.setattr("synth_pools.backend.storage.events.Event.id", "")
    with pytest.raises(httpx.RemoteProtocolError):
        server.http.get(f"/v1/rollouts/{rollout_id}/events")
    # The second is the server's own, about the response that was broken off.
    line, _ = failures
    assert "stream_global_rollout_events" in line
    failures.clear()


def test_nonsense_on_the_wire_harms_nobody(server: Server) -> None:
    chance = random.Random(1)
    for _ in range(40):
        with socket.create_connection(("127.0.0.1", httpx.URL(server.url).port or 0), 5) as wire:
            wire.sendall(b"POST /v1/pools HTTP/1.1\r\n"[: chance.randrange(26)])
            wire.sendall(chance.randbytes(chance.randrange(200)))
    server.get("/v1/capabilities")


def test_the_queue_and_the_capabilities(server: Server) -> None:
    capabilities = server.get("/v1/capabilities")
    # It starts no containers.
    assert capabilities["targets"] == ["arbitrary"]
    assert capabilities["version"] == load_spec()["info"]["version"]
    features = capabilities["features"]
    schemas = load_spec()["components"]["schemas"]
    assert features.keys() == schemas["Features"]["properties"].keys()
    assert [name for name, offered in features.items() if not offered] == [
        "deployments",
        "image_releases",
        "images",
        "processes",
        # PostgreSQL takes a user of its own for them.
        *(["query"] if server.services.queries is None else []),
        "ray",
    ]
    assert set(server.get("/v1/queue/status")) == {"queued", "running", "capacity"}


def raw(server: Server, request_line: str) -> tuple[int, dict[str, str], bytes]:
    """A request whose path no client library has tidied up."""
    port = httpx.URL(server.url).port or 0
    with socket.create_connection(("127.0.0.1", port), 10) as wire:
        head = (
            f"{request_line}\r\nhost: localhost\r\nauthorization: Bearer {KEY}\r\nconnection: close"
        )
        wire.sendall(f"{head}\r\n\r\n".encode("latin-1"))
        data = b""
        while chunk := wire.recv(65536):
            data += chunk
    first, _, rest = data.partition(b"\r\n")
    lines, _, body = rest.partition(b"\r\n\r\n")
    headers = dict(line.decode("latin-1").split(": ", 1) for line in lines.split(b"\r\n"))
    return int(first.split()[1]), {name.lower(): headers[name] for name in headers}, body
