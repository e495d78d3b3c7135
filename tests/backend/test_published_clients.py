"""The public clients that were written by others, unchanged, on a real container."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from synth_containers.pools import PoolClient, PoolClientError, RolloutOutcome

from synth_pools import ContainerPoolsClient
from tests.support import published
from tests.support.backend_server import KEY, Server, serve
from tests.support.containers import http, odd_container, real_container
from tests.support.surface import Call


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A backend without the pools of other tests: everything there is gets listed."""
    with serve(tmp_path_factory.mktemp("published")) as running:
        yield running


@pytest.fixture(scope="module")
def container() -> Iterator[str]:
    with real_container() as url:
        yield url


def test_synth_ai(server: Server, container: str) -> None:
    pool_id = f"published-{uuid.uuid4().hex[:8]}"
    settings = {"api_key": KEY, "backend_base": server.url}
    pool = {"name": "n", "target": "arbitrary", "tasks": [], "id": pool_id}
    sync = {"seed": 3, "mode": "sync", "trace_correlation_id": "t"}
    first = published.drive(
        settings,
        [
            Call("create_pool", (pool,)),
            Call("update_pool", (pool_id, {"container_url": container})),
            Call("create_task", (pool_id, {"task_id": "task", "task_config": {"a": 1}})),
            Call("create_rollout", (pool_id, {**sync, "task_id": "task"})),
            Call("agent_rollouts.create", ({**sync, "pool_id": pool_id},)),
            Call("rollouts.create", (pool_id, {"params": {"raise": True}, "mode": "sync"})),
        ],
    )
    assert first[0]["status"] == "active"
    assert first[1]["container_url"] == container
    under_pool, anywhere, failed = first[3:]
    assert under_pool["status"] == anywhere["status"] == "completed"
    assert under_pool["metrics"]["outcome_reward"] == 3.0
    assert under_pool["result"]["seen"]["task_id"] == "task"
    assert failed["error"]["code"] == "container_http_error"

    rollout_id = under_pool["id"]
    calls = [
        Call("get_pool", (pool_id,)),
        Call("list_pools", (), {"limit": 1000}),
        Call("get_pool_urls", (pool_id,)),
        Call("get_pool_metrics", (pool_id,)),
        Call("metrics.get", (pool_id,)),
        Call("list_tasks", (pool_id,)),
        Call("update_task", (pool_id, "task", {"task_config": {"a": 2}})),
        Call("patch_task", (pool_id, "task", {"task_metadata": {"b": 1}})),
        Call("list_rollouts", (pool_id,), {"state": "completed", "limit": 1}),
        Call("get_rollout", (pool_id, rollout_id)),
        Call("get_rollout_artifacts", (pool_id, rollout_id)),
        Call("get_rollout_usage", (pool_id, rollout_id)),
        Call("get_rollout_summary", (pool_id, rollout_id)),
        Call("stream_rollout_events", (pool_id, rollout_id)),
        Call("list_global_rollouts", (), {"limit": 1000}),
        Call("get_global_rollout", (rollout_id,)),
        Call("get_global_rollout_artifacts", (rollout_id,)),
        Call("get_global_rollout_usage", (rollout_id,)),
        Call("get_global_rollout_summary", (rollout_id,)),
        Call("stream_global_rollout_events", (rollout_id,), {"cursor": "evt_0000000002"}),
        Call("get_pool_container_health", (pool_id,)),
        Call("get_pool_container_info", (pool_id,)),
        Call("get_pool_container_metadata", (pool_id,)),
        Call("get_task_container_health", (pool_id, "task")),
        Call("get_task_container_info", (pool_id, "task")),
        Call("get_task_container_metadata", (pool_id, "task")),
        Call("execute_pool_container_rollout", (pool_id, {"rollout_id": "x", "seed": 4})),
        Call("execute_task_container_rollout", (pool_id, "task", {"rollout_id": "y", "seed": 5})),
        Call("get_queue_status"),
        Call("get_capabilities"),
        Call("replace_pool", (pool_id, {"name": "new", "tasks": [{"task_id": "task"}]})),
        Call("create_rollout", (pool_id, {"env": {"delay": 60}})),
        Call("create_global_rollout", ({"env": {"delay": 60}, "pool_id": pool_id},)),
        Call("delete_task", (pool_id, "task")),
    ]
    answers = dict(
        zip((call.name for call in calls), published.drive(settings, calls), strict=True)
    )
    assert answers["get_pool"] in answers["list_pools"]["items"]
    assert answers["get_pool_metrics"]["success_rate"] == pytest.approx(2 / 3)
    assert answers["patch_task"]["task_config"] == {"a": 2}
    assert [item["id"] for item in answers["list_rollouts"]["items"]] == [anywhere["id"]]
    assert answers["get_rollout"] == answers["get_global_rollout"] == under_pool
    assert answers["get_rollout_usage"] == answers["get_global_rollout_usage"]
    events = answers["stream_rollout_events"]
    assert [event["event"] for event in events] == [
        "rollout.queued",
        "rollout.started",
        "reward",
        "rollout.completed",
    ]
    assert answers["stream_global_rollout_events"] == events[2:]
    assert answers["get_task_container_health"]["status"] == "ok"
    assert answers["get_pool_container_info"]["runtime"]["name"] == "arithmetic"
    assert answers["execute_task_container_rollout"]["summary"] == {"reward": 5.0}
    assert answers["replace_pool"]["container_url"] is None
    assert answers["delete_task"]["status"] == "archived"

    waiting = [answers["create_rollout"]["id"], answers["create_global_rollout"]["id"]]
    last = published.drive(
        settings,
        [
            Call("cancel_rollout", (pool_id, waiting[0])),
            Call("cancel_global_rollout", (waiting[1],)),
            Call("delete_pool", (pool_id,)),
            Call("get", (pool_id,)),
        ],
    )
    assert [answer["status"] for answer in last] == ["cancelled"] * 2 + ["archived"] * 2

    # Each list, which has its items twice, and all else that only reads.
    reads = [call for call in calls if call.name.startswith(("get_", "list_", "metrics", "stream"))]
    reads = [call for call in reads if "container" not in call.name]
    expected = published.drive(settings, reads)
    assert {"items", "pools"} <= expected[1].keys()
    with ContainerPoolsClient(api_key=KEY, base_url=server.url) as client:
        for call, result in zip(reads, expected, strict=True):
            value = call.on(client)
            assert (list(value) if call.is_stream else value) == result, str(call)


@pytest.mark.system
def test_the_last_synth_ai(server: Server, container: str) -> None:
    pool_id = f"published-{uuid.uuid4().hex[:8]}"
    settings = {"api_key": KEY, "base_url": server.url}
    first = published.drive(
        settings,
        [
            Call("create", (), {"pool_id": pool_id, "container_url": container}),
            Call("create_task", (pool_id,), {"task_id": "task", "task_config": {"a": 1}}),
            Call("create_rollout", (pool_id,), {"task_id": "task", "seed": 3}),
            Call("create_rollout", (pool_id,), {"params": {"raise": True}, "mode": "sync"}),
            Call("create_rollout", (pool_id,), {"sead": 1}),
        ],
        release=published.LAST,
    )
    pool, task, created, failed, refused = first
    assert (pool["pool_id"], pool["name"], pool["backend"]) == (pool_id, pool_id, "arbitrary")
    assert (task["task_id"], task["backend"]) == ("task", "arbitrary")
    assert "sead" in refused["raised"]
    rollout_id = created["rollout_id"]
    release = {"source_kind": "image_ref", "image_ref": "a@sha256:0"}
    project = {"project_id": "p"}
    keyed = {**project, "idempotency_key": "k"}
    calls = [
        Call(
            "wait_for_rollout",
            (pool_id, rollout_id),
            {"timeout_seconds": 60, "poll_interval_seconds": 0.05},
        ),
        Call("get", (pool_id,)),
        Call("list"),
        Call("list_tasks", (pool_id,)),
        Call("update_task", (pool_id, "task", {"task_config": {"a": 2}})),
        Call("get_rollout", (pool_id, rollout_id)),
        Call("list_rollouts", (pool_id,)),
        Call("list_rollout_artifacts", (pool_id, rollout_id)),
        Call("get_rollout_usage", (pool_id, rollout_id)),
        Call("list_releases", (pool_id,)),
        Call("create_release", (pool_id,), release),
        Call("get_release", (pool_id, "r")),
        Call("delete_release", (pool_id, "r")),
        Call("bind_release", (pool_id, "r")),
        Call("bind_task_release", (pool_id, "task", "r"), {"expected_release_id": ""}),
        Call("get_deployment", (pool_id, "task"), project),
        Call("mutate_deployment", (pool_id, "task"), {**keyed, "operation": "create"}),
        Call("find_deployment_operation", (pool_id, "task"), keyed),
        Call("get_deployment_operation", (pool_id, "o"), project),
        Call("delete_task", (pool_id, "task")),
    ]
    answers = dict(
        zip(
            (call.name for call in calls),
            published.drive(settings, calls, release=published.LAST),
            strict=True,
        )
    )
    final = answers["wait_for_rollout"]
    assert (final["status"], final["outcome_reward"], final["error"]) == ("completed", 3.0, None)
    assert answers["get_rollout"] == final
    assert pool_id in [item["pool_id"] for item in answers["list"]]
    assert [item["task_id"] for item in answers["list_tasks"]] == ["task"]
    assert answers["update_task"]["raw"]["task_config"] == {"a": 2}
    listed = {item["rollout_id"]: item["status"] for item in answers["list_rollouts"]}
    assert listed == {rollout_id: "completed", failed["rollout_id"]: "failed"}
    assert answers["list_rollout_artifacts"] == []
    assert answers["get_rollout_usage"]["wall_time_sec"] > 0
    assert answers["list_releases"] == []
    deployments = [name for name in answers if "deployment" in name]
    assert len(deployments) == 4
    releases = ("create_release", "get_release", "delete_release", "bind_release")
    for name in (*releases, *deployments):
        assert "not_implemented" in answers[name]["raised"] or "501" in answers[name]["raised"]
    assert "raised" in answers["bind_task_release"]
    assert answers["delete_task"]["status"] == "archived"

    last = published.drive(
        settings,
        [
            Call("create", (), {"pool_id": f"{pool_id}-echo", "name": "given"}),
            Call("create_rollout", (f"{pool_id}-echo",), {"env": {"delay": 60}}),
            Call("delete", (pool_id,)),
        ],
        release=published.LAST,
    )
    echo = last[0]["pool_id"]
    cancelled, artifacts = published.drive(
        settings,
        [
            Call("cancel_rollout", (echo, last[1]["rollout_id"])),
            Call("create_rollout", (echo,), {"mode": "sync"}),
        ],
        release=published.LAST,
    )
    assert (last[0]["name"], cancelled["status"]) == ("given", "cancelled")
    (actual,) = published.drive(
        settings,
        [Call("list_rollout_artifacts", (echo, artifacts["rollout_id"]))],
        release=published.LAST,
    )
    assert [item["artifact_name"] for item in actual] == ["echo.json"]


async def test_synth_containers(server: Server, container: str) -> None:
    async with PoolClient(
        api_key=KEY, backend_url=server.url, max_retries=0, timeout_seconds=120
    ) as client:
        pool = await client.create_pool(
            name="many",
            backend="daytona",
            pool_type="task",
            template="t",
            capacity=2,
            concurrency=32,
            pool_config={"timeout_seconds": 50},
            pool_metadata={"digest": "sha256:0"},
        )
        pool_id = pool["id"]
        assert (pool["target"], pool["backend"]) == ("arbitrary", "daytona")
        assert (pool["pool_type"], pool["template"]) == ("task", "t")
        assert pool["pool_metadata"] == {"digest": "sha256:0"}
        await client.update_pool(pool_id, container_url=container)
        active = await client.wait_until_active(pool_id, timeout_seconds=120)
        assert active["container_url"] == container
        assert pool_id in [item["id"] for item in await client.list_pools()]

        preflight = await client.preflight(pool_id)
        assert preflight["missing"] == []
        assert preflight["task_info"]["task"]["task_id"] == "arithmetic"

        several = await client.submit_batch(pool_id, [{"seed": 1}, {"sead": 2}, {"seed": 3}])
        final = [
            await client.wait_for(rollout_id, poll_interval_seconds=0.1) for rollout_id in several
        ]
        assert [outcome.payload["score"] for outcome in final] == [1, 3]

        payloads = [{"seed": seed, "params": {"raise": seed == 99}} for seed in range(100)]
        outcomes = await client.run_many(
            pool_id, payloads, max_in_flight=50, timeout_seconds=150, poll_interval_seconds=0.2
        )
        assert [outcome for outcome in outcomes if isinstance(outcome, PoolClientError)] == []
        done = [outcome for outcome in outcomes if isinstance(outcome, RolloutOutcome)]
        assert len(done) == 100
        assert [outcome.payload["score"] for outcome in done[:99]] == list(range(99))
        assert [outcome.succeeded for outcome in done] == [True] * 99 + [False]
        assert done[7].result["seen"]["seed"] == 7
        assert len(await client.list_rollouts(pool_id)) == 100, "a page"
        metrics = await client.metrics(pool_id)
        assert (metrics["completed_rollouts"], metrics["failed_rollouts"]) == (101, 1)
        assert (await client.usage(done[0].rollout_id))["bytes_uploaded"] > 0
        assert (await client.pool_urls(pool_id))["container_url"] == container

        task = await client.create_task(pool_id, {"task_id": "one"})
        assert task["backend"] == "daytona"
        assert (await client.update_task(pool_id, "one", task_config={"a": 1}))["task_config"]
        assert [item["id"] for item in await client.list_tasks(pool_id)] == ["one"]
        assert (await client.delete_task(pool_id, "one"))["status"] == "archived"

        await client.update_pool(pool_id, container_url=None)
        waiting = await client.submit(pool_id, {"env": {"delay": 60}})
        assert (await client.cancel(waiting))["status"] == "cancelled"
        with pytest.raises(PoolClientError, match="unsupported"):
            await client.submit(pool_id, {"unsupported": 1})
        assert (await client.delete_pool(pool_id))["status"] == "archived"


async def test_the_rest_of_synth_containers(server: Server, container: str) -> None:
    """Each method of its client that the test before does not call."""
    async with PoolClient(api_key=KEY, backend_url=server.url, max_retries=0) as client:
        pool_id = (await client.create_pool(name="rest", backend="arbitrary"))["pool_id"]
        replaced = await client.replace_pool(pool_id, {"container_url": container, "tasks": []})
        assert (replaced["name"], replaced["container_url"]) == (pool_id, container)
        assert (await client.pause_pool(pool_id))["status"] == "paused"
        assert (await client.resume_pool(pool_id))["status"] == "active"
        assert (await client.health(pool_id))["status"] == "ok"
        assert (await client.info(pool_id))["runtime"]["name"] == "arithmetic"
        assert (await client.metadata(pool_id)) == await client.info(pool_id)
        assert (await client.task_info(pool_id, seed=1))["task"]["task_id"] == "arithmetic"
        rollout_id = await client.submit(pool_id, {"seed": 2, "mode": "sync"})
        assert (await client.get_rollout(rollout_id))["status"] == "completed"

        assert await client.list_image_releases(pool_id) == []
        for refused in (
            client.create_image_release(pool_id, archive=b"tar"),
            client.register_image_release(pool_id, image_ref="a@sha256:0"),
            client.get_image_release(pool_id, "r"),
            client.delete_image_release(pool_id, "r"),
            client.bind_image_release(pool_id, "r"),
        ):
            with pytest.raises(PoolClientError, match="501"):
                await refused
        with odd_container(lambda request: http(200, {"path": request.path})) as container_of_tasks:
            await client.update_pool(pool_id, container_url=container_of_tasks.url)
            assert (await client.task_info(pool_id, seed=3))["path"] == "/task_info?seed=3"
        # It reads as JSON what older clients ask for as a stream, in the same words (`*/*`).
        settings = {"api_key": KEY, "backend_base": server.url}
        calls = [Call("stream_global_rollout_events", (rollout_id,))]
        (events,) = published.drive(settings, calls, release="0.16.1")
        assert events[-1]["event"] == "rollout.completed"
        with pytest.raises(PoolClientError, match="pool request failed GET"):
            await client.events(rollout_id)
