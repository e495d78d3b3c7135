"""`create_rollout_batch`: each item on its own and in order, all of them in one transaction."""

from __future__ import annotations

import re
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from synth_pools.backend.storage.data_dir import FILE_NAME
from synth_pools.spec import load_spec
from tests.backend.rollouts.test_idempotency import age_keys
from tests.support.backend_server import KEY, Server, serve

PATH = "/v1/rollouts/batch"
SLOW = {"env": {"delay": 60, "events": 0}}


def batch(server: Server, body: Any, key: str | None = None) -> Any:
    headers = {} if key is None else {"idempotency-key": key}
    answer = server.post(PATH, body, headers=headers)
    assert [item["index"] for item in answer["items"]] == list(range(len(answer["items"])))
    for item in answer["items"]:
        rollout = item["rollout"]
        assert (rollout is None) is (item["error"] is not None) is (item["status"] >= 400)
        if rollout is not None:
            assert item["status"] == (200 if rollout["finished_at"] else 202)
    admitted = sum(item["rollout"] is not None for item in answer["items"])
    assert (answer["admitted"], answer["refused"]) == (admitted, len(answer["items"]) - admitted)
    references = [{"id": rollout_id, "rollout_id": rollout_id} for rollout_id in ids(answer)]
    assert answer["rollouts"] == references
    return answer


def ids(answer: Any) -> list[str]:
    return [item["rollout"]["id"] for item in answer["items"] if item["rollout"]]


def test_both_spellings_are_one_list_in_order(server: Server) -> None:
    pool_id, other_pool = server.pool(), server.pool()
    answer = batch(
        server,
        {
            "pool_id": pool_id,
            "rollouts": [{"seed": 1}, {"seed": 2, "pool_id": other_pool}],
            "requests": [{"seed": 3, "pool_id": None}],
        },
    )
    rollouts = [item["rollout"] for item in answer["items"]]
    assert [rollout["request"] for rollout in rollouts] == [
        {"seed": 1},
        {"seed": 2, "pool_id": other_pool},
        {"seed": 3, "pool_id": None},
    ]
    assert [rollout["pool_id"] for rollout in rollouts] == [pool_id, other_pool, pool_id]
    assert {rollout["status"] for rollout in rollouts} == {"queued"}
    assert [server.until(rollout["id"])["status"] for rollout in rollouts] == ["completed"] * 3
    listed = [rollout["id"] for rollout in server.get(f"/v1/pools/{pool_id}/rollouts")["items"]]
    assert listed == [rollouts[2]["id"], rollouts[0]["id"]]


def test_an_answer_has_room_for_both_spellings(server: Server) -> None:
    nowhere = {"pool_id": "no-such-pool"}
    answer = batch(server, {"rollouts": [nowhere] * 1000, "requests": [nowhere] * 1000})
    items = load_spec()["components"]["schemas"]["RolloutBatch"]["properties"]["items"]
    assert answer["refused"] == len(answer["items"]) == items["maxItems"]


def test_an_empty_batch_is_fine(server: Server) -> None:
    empty = {"items": [], "rollouts": [], "admitted": 0, "refused": 0}
    body: Any
    for body in ({}, {"rollouts": []}, {"rollouts": None, "requests": None}):
        assert server.post(PATH, body) == empty


def test_an_empty_pool_id_names_a_pool_that_there_is_not(server: Server) -> None:
    pool_id = server.pool()
    answer = batch(server, {"pool_id": "", "rollouts": [{}, {"pool_id": pool_id}]})
    assert [item["status"] for item in answer["items"]] == [404, 202]
    assert answer["items"][0]["error"]["code"] == "pool_not_found"
    server.refused("POST", "/v1/rollouts", 404, "pool_not_found", json={"pool_id": ""})
    path = f"/v1/pools/{pool_id}/rollouts"
    server.refused("POST", path, 409, "id_mismatch", json={"pool_id": ""})
    server.refused("POST", path, 404, "task_not_found", json={"task_id": ""})


@pytest.mark.parametrize("sent", [{}, {"seed": 7}, {"env": {}}])
def test_each_keeps_its_request_as_it_was_sent(server: Server, sent: dict[str, Any]) -> None:
    answer = batch(server, {"pool_id": server.pool(), "rollouts": [sent]})
    rollout = server.get(f"/v1/rollouts/{answer['rollouts'][0]['id']}")
    assert rollout["request"] == sent


def test_each_is_refused_on_its_own(server: Server) -> None:
    pool_id, removed = server.pool(), server.pool()
    server.call("DELETE", f"/v1/pools/{removed}")
    requests: list[dict[str, Any]] = [
        {"seed": 1},
        {"sead": 1},
        {"task_id": "nothing"},
        {"pool_id": "nobody"},
        {"pool_id": removed},
        {"seed": "x", "env": 7},
        {"seed": 2},
    ]
    answer = batch(server, {"pool_id": pool_id, "rollouts": requests})
    assert [item["status"] for item in answer["items"]] == [202, 422, 404, 404, 409, 422, 202]
    codes = [item["error"]["code"] for item in answer["items"][1:-1]]
    assert codes == [
        "validation_failed",
        "task_not_found",
        "pool_not_found",
        "pool_archived",
        "validation_failed",
    ]
    places = [error["loc"] for error in answer["items"][5]["error"]["details"]["errors"]]
    assert sorted(places) == [["body", "env"], ["body", "seed"]]
    # Each as the creation of it alone would have been answered.
    for request, item in zip(requests[1:-1], answer["items"][1:-1], strict=True):
        alone = server.send("POST", "/v1/rollouts", json={"pool_id": pool_id, **request})
        assert alone.status_code == item["status"]
        assert alone.json()["error"]["message"] == item["error"]["message"]


def test_the_batch_itself_may_be_wrong(server: Server) -> None:
    body: Any
    for body in ([], {"rollouts": 7}, {"rollouts": [7]}, {"requests": [{}] * 1001}, {"pool_id": 7}):
        server.refused("POST", PATH, 422, "validation_failed", json=body)


def test_without_a_pool_the_least_loaded_gets_the_next(start: Callable[..., Server]) -> None:
    backend = start()
    small, large = backend.pool(concurrency=1), backend.pool(concurrency=3)
    tasked = backend.pool(concurrency=1, tasks=[{"task_id": "t"}])
    answer = batch(
        backend, {"rollouts": [*[SLOW] * 10, {**SLOW, "task_id": "t"}, {"task_id": "u"}]}
    )
    pools = [item["rollout"]["pool_id"] for item in answer["items"][:-1]]
    assert [pools.count(pool_id) for pool_id in (small, large, tasked)] == [2, 6, 3]
    assert pools[-1] == tasked
    assert answer["items"][-1]["error"]["code"] == "no_active_pool"


def test_a_full_queue_refuses_the_rest(start: Callable[..., Server]) -> None:
    backend = start(max_queued_per_pool=3, max_queued=3)
    crowded, other_pool = backend.pool(concurrency=2), backend.pool(concurrency=1)
    body = {"pool_id": crowded, "rollouts": [SLOW] * 7 + [{**SLOW, "pool_id": other_pool}] * 2}
    answer = batch(backend, body)
    # The other pool has a free place, which does not count in the queue of all.
    statuses = [202] * 5 + [429] * 2 + [202, 429]
    assert [item["status"] for item in answer["items"]] == statuses
    of_pool, in_all = answer["items"][5]["error"], answer["items"][8]["error"]
    assert (of_pool["code"], of_pool["details"]) == ("pool_queue_full", {"limit": 3})
    assert (in_all["code"], in_all["details"]) == ("queue_full", {"limit": 3})
    assert of_pool["retryable"] is True
    assert of_pool["retry_after_ms"] >= 1000


def test_mode_sync_does_not_wait(server: Server) -> None:
    request = {"mode": "sync", "env": {"delay": 600}}
    answer = batch(server, {"pool_id": server.pool(), "rollouts": [request]})
    rollout = answer["items"][0]["rollout"]
    assert rollout["mode"] == "sync"
    assert server.state(rollout["id"]) in ("queued", "running")


def test_a_repetition_creates_only_what_was_refused(server: Server) -> None:
    pool_id, key = server.pool(), uuid.uuid4().hex
    body = {"pool_id": pool_id, "rollouts": [{"seed": 1}, {"task_id": "later"}, {"seed": 1}]}
    first = batch(server, body, key)
    assert [item["status"] for item in first["items"]] == [202, 404, 202]
    final = [server.until(rollout_id) for rollout_id in ids(first)]
    assert len({rollout["id"] for rollout in final}) == 2
    server.post(f"/v1/pools/{pool_id}/tasks", {"task_id": "later"}, 201)
    second = batch(server, body, key)
    assert [second["items"][0]["rollout"], second["items"][2]["rollout"]] == final
    assert [item["status"] for item in second["items"]] == [200, 202, 200]
    assert second["items"][1]["rollout"]["task_id"] == "later"
    third = batch(server, body, key)
    assert ids(third) == ids(second)
    assert len(server.get(f"/v1/pools/{pool_id}/rollouts")["items"]) == 3


def test_another_batch_with_the_same_key_is_refused_whole(server: Server) -> None:
    pool_id, key = server.pool(), uuid.uuid4().hex
    first = batch(server, {"pool_id": pool_id, "rollouts": [{"sead": 1}]}, key)
    assert first["admitted"] == 0
    # Refusals reserve no key.
    second = batch(server, {"pool_id": pool_id, "rollouts": [{"sead": 1}, {"seed": 1}]}, key)
    for rollouts in ([{"seed": 1}], [{"sead": 1}, {"seed": 1}, {}], [{"sead": 2}, {"seed": 1}]):
        body = {"pool_id": pool_id, "rollouts": rollouts}
        refused = server.refused(
            "POST", PATH, 409, "idempotency_conflict", json=body, headers={"idempotency-key": key}
        )
        assert refused["error"]["rollout_id"] == ids(second)[0]
    assert len(server.get(f"/v1/pools/{pool_id}/rollouts")["items"]) == 1
    # It is a key of batches only.
    alone = server.send(
        "POST", "/v1/rollouts", json={"pool_id": pool_id}, headers={"idempotency-key": key}
    )
    assert alone.status_code == 202


def test_of_many_at_once_one_is_admitted(server: Server) -> None:
    pool_id, key = server.pool(), uuid.uuid4().hex
    body = {"pool_id": pool_id, "rollouts": [{"seed": seed} for seed in range(20)]}
    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(lambda _: batch(server, body, key), range(12)))
    assert len({tuple(ids(answer)) for answer in answers}) == 1
    assert len(server.get(f"/v1/pools/{pool_id}/rollouts?limit=1000")["items"]) == 20


@pytest.mark.sqlite
def test_the_key_of_a_batch_lasts_for_a_day(tmp_path: Path) -> None:
    body: Any = {"rollouts": [{}, {}]}
    key = uuid.uuid4().hex
    with serve(tmp_path) as backend:
        backend.pool()
        first = ids(batch(backend, body, key))
    for seconds, is_kept in ((86_390, True), (20, False)):
        age_keys(tmp_path / FILE_NAME, seconds)
        with serve(tmp_path) as backend:
            assert (ids(batch(backend, body, key)) == first) == is_kept


def transactions(server: Server) -> float:
    text = server.http.get("/metrics").text
    return float(re.findall(r"store_transaction_seconds_count (\S+)", text)[0])


def test_a_thousand_are_quick(start: Callable[..., Server]) -> None:
    backend = start(validate_responses=False)
    pool_id = backend.pool(concurrency=1)
    backend.rollout(pool_id, **SLOW)
    body = {"pool_id": pool_id, "rollouts": [{"seed": seed} for seed in range(1000)]}
    before = transactions(backend)
    answer = batch(backend, body)
    assert answer["admitted"] == 1000
    # One by one each would take one.
    assert transactions(backend) - before < 50
    assert backend.get("/v1/queue/status")["queued"] == 1000


_BACKEND = """
import sys
from tests.support.backend_server import KEY
from synth_pools.local import LocalBackend
with LocalBackend(sys.argv[1], api_key=KEY) as backend:
    print(backend.url, flush=True)
    sys.stdin.read()
"""


@pytest.mark.system
@pytest.mark.sqlite
def test_after_a_crash_a_batch_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    """And its key tells: what the crash took is admitted by the repetition, once."""
    body = {"pool_id": "p", "rollouts": [{"env": {"delay": 60}, "seed": n} for n in range(150)]}
    for wait in (0.0, 0.03, 0.06, 0.3):
        key = uuid.uuid4().hex
        process = subprocess.Popen(
            [sys.executable, "-c", _BACKEND, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        backend = Server(process.stdout.readline().strip(), None)
        with backend.http:
            if backend.send("GET", "/v1/pools/p").status_code == 404:
                backend.post("/v1/pools", {"pool_id": "p", "name": "p", "concurrency": 1}, 201)
            before = count(backend)
            with ThreadPoolExecutor(1) as threads:
                sent = threads.submit(send_alone, backend.url, body, key)
                time.sleep(wait)
                process.kill()
                process.wait(60)
                answered = sent.result(30)
        with serve(tmp_path, validate_responses=False) as again:
            added = count(again) - before
            assert added in (0, 150)
            assert answered <= added
            repeated = batch(again, body, key)
            assert repeated["admitted"] == 150
            assert count(again) - before == 150
            for rollout_id in ids(repeated):
                # The one that ran has failed with the backend.
                again.send("POST", f"/v1/rollouts/{rollout_id}/cancel")


def count(server: Server) -> int:
    """Count the rollouts that the pool has had."""
    metrics = server.get("/v1/pools/p/metrics")
    return sum(value for name, value in metrics.items() if name.endswith("_rollouts"))


def send_alone(url: str, body: Any, key: str) -> int:
    """Count the admitted rollouts in an answer, which may be cut off."""
    headers = {"authorization": f"Bearer {KEY}", "idempotency-key": key}
    try:
        answer = httpx.post(f"{url}{PATH}", json=body, headers=headers, timeout=60, trust_env=False)
    except httpx.HTTPError:
        return 0
    return int(answer.json()["admitted"])
