"""Large documents of clients and containers: bounded, refused with a reason, never in the way."""

from __future__ import annotations

import asyncio
import io
import json
import threading
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from synth_pools.backend.resources.byte_budget import Reservation
from tests.support.backend_server import Server, eventually
from tests.support.containers import holding_containers, http, odd_container

JSON = {"content-type": "application/json"}
LARGE = "x" * 300_000


def test_a_body_with_too_many_values_is_refused_and_says_what_to_do(
    start: Callable[..., Server],
) -> None:
    backend = start(max_body_values=100)
    pool_id = backend.pool()
    path = f"/v1/pools/{pool_id}/rollouts"
    backend.post(path, {"params": {"a": [1] * 90}}, 202)
    # A text is one value, whatever is in it.
    backend.post(path, {"params": {"a": "[],{}" * 1000}}, 202)
    many = {"content": b'{"params":{"a":[' + b"[]," * 100 + b"1]}}", "headers": JSON}
    refused = backend.refused("POST", path, 413, "payload_too_large", **many)
    assert "100 JSON values" in refused["detail"]
    assert "--max-body-values" in refused["detail"]
    batch = {"rollouts": [{"pool_id": pool_id} for _ in range(100)]}
    backend.refused("POST", "/v1/rollouts/batch", 413, "payload_too_large", json=batch)


@pytest.mark.parametrize("size", [10, 300_000, 1_100_000])
def test_a_body_means_the_same_wherever_it_is_parsed(
    start: Callable[..., Server], size: int
) -> None:
    backend = start(max_body_values=1000)
    pool_id = backend.pool()
    path = f"/v1/pools/{pool_id}/rollouts"
    padding = b'"' + b"\\u00e4" * (size // 6) + b'"'
    text = (
        b'{"params":{"a":%b,"b":[123456789012345678901234567890,1.0,"\\ud800\\u0000"]}}' % padding
    )
    rollout = backend.post(path, status=202, content=text, headers=JSON)
    assert backend.get(f"{path}/{rollout['id']}")["request"] == json.loads(text)
    is_elsewhere = size > 1024 * 1024
    assert bool(backend.services.workers._idle) is is_elsewhere
    for faulty, status, code in (
        (padding[:-1], 400, "bad_request"),
        (b'{"a":%b,}' % padding, 400, "bad_request"),
        (b"[%b,NaN]" % padding, 400, "bad_request"),
        (b"[" * 1000 + padding + b"]" * 1000, 413, "payload_too_large"),
        (b"[%b%b]" % (padding, b",1" * 1000), 413, "payload_too_large"),
        (b"%b%b%b" % (b"[" * 501, padding, b"]" * 501), 400, "bad_request"),
        (b"%b%b%b" % (b"[" * 500, padding, b"]" * 500), 422, "validation_failed"),
        (b'{"params":%b}' % padding, 422, "validation_failed"),
    ):
        backend.refused("POST", path, status, code, content=faulty, headers=JSON)
    headers = {"content-type": "text/plain"}
    backend.refused("POST", path, 415, "unsupported_media_type", content=text, headers=headers)
    eventually(lambda: backend.services.parsing_room.taken == 0)


def hold_room(server: Server, size: int) -> Reservation:
    services = server.services
    loop: Any = services.database._loop
    return asyncio.run_coroutine_threadsafe(services.parsing_room.reserve(size), loop).result(60)


def test_a_request_waits_for_room_and_is_refused_in_the_end(start: Callable[..., Server]) -> None:
    backend = start(max_parsing_bytes=1_000_000, room_wait_seconds=0.2)
    pool_id = backend.pool()
    path = f"/v1/pools/{pool_id}/rollouts"
    reservation = hold_room(backend, 900_000)
    refused = backend.send("POST", path, json={"params": {"a": LARGE}})
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
    assert refused.json()["error"]["code"] == "no_room"
    assert refused.json()["error"]["retryable"] is True
    # A small one needs none.
    assert backend.run(pool_id)["status"] == "completed"
    reservation.release()
    assert backend.post(path, {"params": {"a": LARGE}}, 202)
    eventually(lambda: backend.services.parsing_room.taken == 0)


def test_a_wait_for_the_end_keeps_no_room(start: Callable[..., Server]) -> None:
    backend = start(max_parsing_bytes=400_000, room_wait_seconds=60)
    with holding_containers(1) as [container], ThreadPoolExecutor(3) as threads:
        pool_id = backend.pool(concurrency=4, container_url=container.url)
        ends = [threads.submit(backend.run, pool_id, params={"a": LARGE}) for _ in range(3)]
        # All of them are admitted, though there is room for one body at a time.
        eventually(lambda: backend.get("/v1/queue/status")["running"] == 3)
        container.release(3)
        assert {end.result()["status"] for end in ends} == {"completed"}


def answer(rollout_id: str, **more: Any) -> dict[str, Any]:
    final = {"status": "completed", "success_status": "success", "summary": {"reward": 0.5}}
    return {"rollout_id": rollout_id, **final, **more}


def test_a_large_answer_means_what_a_small_one_means(server: Server) -> None:
    pad = {"size": 10}
    artifact = [{"name": "a.txt", "content": "y" * 10_000}, {"name": "b.txt", "content": "little"}]

    def respond(request: Any) -> Any:
        if not request.body:
            return http(404, {})
        rollout_id = json.loads(request.body)["rollout_id"]
        return http(
            200,
            answer(rollout_id, pad="x" * pad["size"], usage={"input_tokens": 7}, artifact=artifact),
        )

    with odd_container(respond) as container:
        pool_id = server.pool(container_url=container.url)
        small = server.run(pool_id)
        pad["size"] = 1_000_000
        large = server.run(pool_id)
    for rollout in (small, large):
        contents = server.http.get(f"/v1/rollouts/{rollout['id']}/artifacts.zip").content
        assert zipfile.ZipFile(io.BytesIO(contents)).read("b.txt") == b"little"
        path = f"/v1/rollouts/{rollout['id']}/artifacts/b.txt"
        assert server.http.get(path).content == b"little"
        assert (rollout["status"], rollout["score"]) == ("completed", 0.5)
        item, _ = server.get(f"/v1/rollouts/{rollout['id']}/artifacts")["items"]
        assert (item["path"], item["size_bytes"]) == ("a.txt", 10_000)
        usage = server.get(f"/v1/rollouts/{rollout['id']}/usage")
        assert usage["llm_input_tokens"] == 7
    assert len(large["result"].pop("pad")) == 1_000_000
    assert usage["bytes_downloaded"] > 1_000_000
    del small["result"]["pad"]
    differing = {"rollout_id"}
    assert {k: v for k, v in small["result"].items() if k not in differing} == {
        k: v for k, v in large["result"].items() if k not in differing
    }
    eventually(lambda: server.services.parsing_room.taken == 0)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"trace":[' + b"[]," * 200_000 + b"1]}", "more than 1000 JSON values"),
        (b'{"trace":"' + b"x" * 400_000, "no JSON"),
        (b'["' + b"x" * 400_000 + b'"]', "no object"),
        (b'{"rollout_id":"another","status":"completed","a":"' + b"x" * 400_000 + b'"}', "another"),
        (b'{"trace":"' + b"x" * 400_000 + b'"}', "neither a status nor a reward"),
    ],
    ids=["too many values", "no JSON", "no object", "another rollout", "no outcome"],
)
def test_a_large_answer_that_cannot_be_used(
    start: Callable[..., Server], body: bytes, words: str
) -> None:
    backend = start(max_container_values=1000)
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    with odd_container(lambda _: head % len(body) + body) as container:
        rollout = backend.run(backend.pool(container_url=container.url))
    assert rollout["error"]["code"] == "container_bad_response"
    assert words in rollout["error"]["message"]
    assert len(json.dumps(rollout["error"])) < 5000
    # An error keeps no room, though somebody keeps the error.
    eventually(lambda: backend.services.parsing_room.taken == 0)


def test_a_shortage_of_room_is_never_the_container_s_fault(start: Callable[..., Server]) -> None:
    backend = start(max_parsing_bytes=1_000_000)
    request_arrived = threading.Event()

    def respond(request: Any) -> Any:
        if not request.body:
            return http(404, {})
        request_arrived.set()
        return http(200, answer(json.loads(request.body)["rollout_id"], pad=LARGE))

    with odd_container(respond) as container:
        pool_id = backend.pool(container_url=container.url)
        reservation = hold_room(backend, 1_000_000)
        # Its time is over long before there is room.
        rollout_id = backend.rollout(pool_id, limits={"timeout_seconds": 3})["id"]
        assert request_arrived.wait(60)
        eventually(lambda: backend.services.parsing_room.waiting == 1)
        threading.Event().wait(3.5)
        assert backend.state(rollout_id) == "running"
        reservation.release()
        assert backend.until(rollout_id)["status"] == "completed"


def test_a_direct_call_with_a_large_answer(server: Server) -> None:
    body = json.dumps({"status": "ok", "healthy": True, "pad": LARGE}).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    with odd_container(lambda _: head % len(body) + body) as container:
        pool_id = server.pool(container_url=container.url)
        assert server.get(f"/v1/pools/{pool_id}/container/metadata")["pad"] == LARGE
    eventually(lambda: server.services.parsing_room.taken == 0)
