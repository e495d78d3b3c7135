"""Calls of `rollouts` and `agent_rollouts` that use operations of the other, on the backend."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from synth_pools import (
    APIConnectionError,
    AsyncContainerPoolsClient,
    ConflictError,
    FleetProgress,
    JournalError,
    NotFoundError,
    RequestInfo,
    RequestValidationError,
    ResponseInfo,
)
from tests.client.async_.fleet_ends import gather
from tests.support.backend_server import KEY, Server, serve

pytestmark = pytest.mark.one_library


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(tmp_path_factory.mktemp("backend")) as server:
        yield server


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@pytest.fixture
def paths() -> list[str]:
    """Requests of the client, as method and path."""
    return []


@pytest.fixture
async def client(backend: Server, paths: list[str]) -> AsyncIterator[AsyncContainerPoolsClient]:
    def note(info: RequestInfo) -> None:
        paths.append(f"{info.method} {info.path}")

    async with AsyncContainerPoolsClient(
        api_key=KEY, base_url=backend.url, timeout=60, on_request=note
    ) as client:
        yield client


async def test_downloads_of_a_pool_are_those_of_all(
    backend: Server, client: AsyncContainerPoolsClient, tmp_path: Path
) -> None:
    pool_id = backend.pool()
    pooled, unpooled = client.rollouts, client.agent_rollouts
    rollout_id = backend.run(pool_id, seed=3)["id"]
    path = "echo.json"
    content = await pooled.artifact(pool_id, rollout_id, path)
    assert json.loads(content)
    assert content == await unpooled.artifact(rollout_id, path)
    archive = await pooled.artifacts_zip(pool_id, rollout_id)
    assert archive == await unpooled.artifacts_zip(rollout_id)
    assert (await pooled.support_bundle(pool_id, rollout_id)).startswith(b"PK")

    progress: list[tuple[int, int | None]] = []
    saved = await pooled.download_artifact(
        pool_id, rollout_id, path, tmp_path, on_progress=lambda *size: progress.append(size)
    )
    assert (saved, saved.read_bytes()) == (tmp_path / path, content)
    assert progress[-1] == (len(content), len(content))
    saved = await pooled.download_artifacts_zip(pool_id, rollout_id, tmp_path)
    assert (saved.name, saved.read_bytes()) == (f"{rollout_id}-artifacts.zip", archive)
    saved = await pooled.download_support_bundle(pool_id, rollout_id, tmp_path)
    assert (saved.name, saved.read_bytes()[:2]) == (f"{rollout_id}-support.zip", b"PK")


async def test_a_pool_has_no_rollout_of_another(
    backend: Server, client: AsyncContainerPoolsClient, paths: list[str], tmp_path: Path
) -> None:
    rollout_id = backend.run(backend.pool())["id"]
    other_pool = backend.pool()
    namespace = client.rollouts
    calls: list[Callable[[], Any]] = [
        lambda: namespace.artifact(other_pool, rollout_id, "echo.json"),
        lambda: namespace.artifacts_zip(other_pool, rollout_id),
        lambda: namespace.support_bundle(other_pool, rollout_id),
        lambda: namespace.download_artifact(other_pool, rollout_id, "echo.json", tmp_path),
        lambda: namespace.download_artifacts_zip(other_pool, rollout_id, tmp_path),
        lambda: namespace.download_support_bundle(other_pool, rollout_id, tmp_path),
        lambda: namespace.replay(other_pool, rollout_id),
    ]
    for call in calls:
        with pytest.raises(NotFoundError, match="rollout_not_found"):
            await call()
    assert set(paths) == {f"GET /v1/pools/{other_pool}/rollouts/{rollout_id}/summary"}
    assert len(paths) == len(calls)
    assert not names(tmp_path)
    assert not backend.get(f"/v1/pools/{other_pool}/rollouts")["items"]


async def test_bad_arguments_are_refused_before_anything_is_sent(
    client: AsyncContainerPoolsClient, paths: list[str], tmp_path: Path
) -> None:
    pooled: Any = client.rollouts
    unpooled: Any = client.agent_rollouts
    calls: list[Callable[[], Any]] = [
        lambda: pooled.artifact("p", "r", ".."),
        lambda: pooled.artifacts_zip("", "r"),
        lambda: pooled.support_bundle("p", "."),
        lambda: pooled.download_artifact("p", "r", "a", tmp_path, on_progress=3),
        lambda: pooled.replay("p", "r", idempotency_key="two\nlines"),
        lambda: pooled.validate("p", {"pool_id": "q"}),
        lambda: pooled.validate("p", [{}]),
        lambda: pooled.create_batch("p", {"pool_id": "q", "rollouts": []}),
        lambda: pooled.create_batch("p", {"rollouts": [{}, {"pool_id": "q"}]}),
        lambda: pooled.create_batch("p", {"requests": [{"pool_id": "q"}]}),
        lambda: pooled.create_batch("p", {"rollout": [{}]}),
        lambda: unpooled.run({"sead": 3}),
        lambda: unpooled.run({}, on_event=3),
        lambda: unpooled.run({}, timeout=-1),
        lambda: unpooled.run({}, idempotency_key=""),
    ]
    for call in calls:
        with pytest.raises(RequestValidationError):
            await call()
    for requests, options in (
        ({"seed": 1}, {}),
        ([], {"max_in_flight": 0}),
        ([], {"journal": str(tmp_path)}),
        ([], {"on_interrupt": "stop"}),
        ([], {"progress": 3}),
    ):
        with pytest.raises(RequestValidationError):
            unpooled.run_many(requests, **options)
    assert not paths


async def test_validate_and_batch_of_a_pool(
    backend: Server, client: AsyncContainerPoolsClient
) -> None:
    pool_id, other_pool = backend.pool(tasks=[{"task_id": "here"}]), backend.pool()
    namespace = client.rollouts
    assert await namespace.validate(pool_id, {"task_id": "here"}) == {
        "valid": True,
        "errors": [],
        "pool_id": pool_id,
    }
    elsewhere = await namespace.validate(other_pool, {"task_id": "here"})
    assert (elsewhere["valid"], elsewhere["pool_id"]) == (False, None)
    missing = await namespace.validate("no-such-pool", {})
    assert missing["errors"][0]["loc"] == ["body", "pool_id"]

    requests: list[dict[str, Any]] = [
        {"seed": 1},
        {"seed": 2, "pool_id": pool_id},
        {"task_id": "gone"},
    ]
    batch = await namespace.create_batch(pool_id, {"rollouts": requests}, idempotency_key="b-1")
    assert (batch["admitted"], batch["refused"]) == (2, 1)
    assert [item["status"] for item in batch["items"]] == [202, 202, 404]
    assert {item["rollout"]["pool_id"] for item in batch["items"] if item["rollout"]} == {pool_id}
    again = await namespace.create_batch(pool_id, {"rollouts": requests}, idempotency_key="b-1")
    ids = [[item["rollout"]["id"] for item in answer["items"][:2]] for answer in (batch, again)]
    assert ids[0] == ids[1]
    with pytest.raises(ConflictError):
        await namespace.create_batch(pool_id, {"rollouts": []}, idempotency_key="b-1")


async def test_replay_of_a_pool(backend: Server, client: AsyncContainerPoolsClient) -> None:
    pool_id = backend.pool()
    first = backend.run(pool_id, seed=5)
    again = await client.rollouts.replay(pool_id, first["id"], idempotency_key="r-1")
    assert (again["replay_of"], again["request"]) == (first["id"], first["request"])
    assert again["pool_id"] == pool_id
    same = await client.rollouts.replay(pool_id, first["id"], idempotency_key="r-1")
    assert same["id"] == again["id"]


async def test_the_deadline_is_one_for_the_look_up_and_what_follows(
    backend: Server, client: AsyncContainerPoolsClient
) -> None:
    """The look-up counts towards the deadline of the download."""
    pool_id = backend.pool()
    rollout_id = backend.run(pool_id)["id"]
    view = client.with_options(deadline=50.0, max_retries=0)
    now = [0.0]

    def clock() -> float:
        now[0] += 0.01
        return now[0]

    view._transport.clock = clock
    before = view._transport._request

    async def late(*args: Any) -> Any:
        answer = await before(*args)
        now[0] += 100.0
        return answer

    view._transport._request = late  # type: ignore[assignment]
    transport = await view._transport.after(*view._summary_call(pool_id, rollout_id))
    assert transport.config.deadline == 0.001
    assert view._transport.config.deadline == 50.0
    with pytest.raises(APIConnectionError, match="deadline"):
        await view.rollouts.replay(pool_id, rollout_id)
    with pytest.raises(APIConnectionError, match="deadline"):
        await view.rollouts.artifacts_zip(pool_id, rollout_id)
    assert len(backend.get(f"/v1/pools/{pool_id}/rollouts")["items"]) == 1


async def test_run_without_a_pool(
    backend: Server, client: AsyncContainerPoolsClient, paths: list[str]
) -> None:
    pool_id = backend.pool()
    events: list[str] = []
    done = await client.agent_rollouts.run(
        {"pool_id": pool_id, "seed": 1, "env": {"events": 2}},
        on_event=lambda event: events.append(event["event"]),
        timeout=60,
        idempotency_key="run-1",
    )
    assert (done["status"], done["pool_id"]) == ("completed", pool_id)
    assert done["summary"]["reward"] is not None
    assert events[-1] == "rollout.completed"
    assert all("/v1/rollouts" in path for path in paths)
    again = await client.agent_rollouts.run(
        {"pool_id": pool_id, "seed": 1, "env": {"events": 2}}, idempotency_key="run-1"
    )
    assert again["id"] == done["id"]
    with pytest.raises(NotFoundError):
        await client.agent_rollouts.run({"pool_id": "no-such-pool"})


async def test_a_fleet_over_pools_goes_on_from_its_journal(
    backend: Server, client: AsyncContainerPoolsClient, paths: list[str], tmp_path: Path
) -> None:
    pools = [backend.pool(), backend.pool()]
    requests: list[dict[str, Any]] = [
        *({"pool_id": pools[seed % 2], "seed": seed} for seed in range(8)),
        {"seed": 8},
        {"pool_id": "no-such-pool"},
        {"sead": 9},
    ]
    journal, counted = tmp_path / "run.jsonl", []

    def note(progress: FleetProgress) -> None:
        counted.append(progress.done)

    first = await gather(
        client.agent_rollouts.run_many(requests, journal=journal, in_order=True, progress=note)
    )
    assert counted == list(range(1, 12))
    assert [outcome.ok for outcome in first] == [True] * 9 + [False] * 2
    rollouts = [outcome.rollout for outcome in first if outcome.rollout is not None]
    assert [rollout["pool_id"] for rollout in rollouts[:8]] == pools * 4
    assert all(rollout["summary"]["reward"] is not None for rollout in rollouts)
    assert isinstance(first[9].error, NotFoundError)
    assert isinstance(first[10].error, RequestValidationError)
    assert not any("/rollouts" in path and "/v1/pools/" in path for path in paths)

    paths.clear()
    again = await gather(client.agent_rollouts.run_many(requests, journal=journal, in_order=True))
    assert [outcome.rollout for outcome in again] == [outcome.rollout for outcome in first]
    assert all(outcome.replayed for outcome in again)
    assert not paths
    with pytest.raises(JournalError, match="no pool of its own, not pool 'p'"):
        await gather(client.rollouts.run_many("p", requests, journal=journal))


@pytest.mark.parametrize("names_pool", [True, False])
async def test_a_fleet_over_pools_waits_for_one_that_is_paused(
    backend: Server, tmp_path: Path, names_pool: bool
) -> None:
    task = f"task-{names_pool}"
    pool_id = backend.pool(tasks=[{"task_id": task}])
    backend.post(f"/v1/pools/{pool_id}/pause")
    refused: list[int | None] = []

    def resume(info: ResponseInfo) -> None:
        if info.operation == "create_global_rollout" and info.status_code == 409 and not refused:
            refused.append(info.status_code)
            return
        if refused == [409] and info.status_code == 200:
            # The fleet checked whether a pool may become active.
            refused.append(200)
            backend.post(f"/v1/pools/{pool_id}/resume")

    async with AsyncContainerPoolsClient(
        api_key=KEY, base_url=backend.url, on_response=resume
    ) as client:
        request: dict[str, Any] = {"task_id": task, **({"pool_id": pool_id} if names_pool else {})}
        (outcome,) = await gather(client.agent_rollouts.run_many([request], patience=60))
        assert outcome.ok
        assert refused == [409, 200]
        # Without a pool that may become active the fleet does not wait.
        (outcome,) = await gather(
            client.agent_rollouts.run_many([{"task_id": "nobody-has-it"}], patience=60)
        )
    assert isinstance(outcome.error, ConflictError)
    assert outcome.error.code == "no_active_pool"


async def test_a_fleet_over_pools_that_ends_early_cancels_what_is_under_way(
    backend: Server, client: AsyncContainerPoolsClient
) -> None:
    pool_id = backend.pool(concurrency=8)
    requests: list[dict[str, Any]] = [
        {"pool_id": pool_id},
        {"pool_id": pool_id, "env": {"delay": 60}},
    ]
    fleet = client.agent_rollouts.run_many(requests, on_interrupt="cancel", max_in_flight=2)
    async with fleet:
        async for outcome in fleet:
            assert outcome.ok
            break
    states = {item["status"] for item in backend.get(f"/v1/pools/{pool_id}/rollouts")["items"]}
    assert states <= {"completed", "cancelled"}
