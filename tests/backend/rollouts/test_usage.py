"""Usage that containers report: in summaries, and in sums."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.backend_server import Server
from tests.support.containers import Seen, http, odd_container
from tests.support.spending_container import scraped


@pytest.mark.parametrize(
    ("reported", "expected"),
    [
        (
            {"input_tokens": 10, "output_tokens": 2.0, "cost_usd": 0.5, "cached_tokens": 4},
            {"input_tokens": 10, "output_tokens": 2, "cost_usd": 0.5, "cached_input_tokens": 4},
        ),
        (
            {"prompt_tokens": 10, "seconds": 1.5, "x" * 65: 1, "text": "1", "flag": True},
            {"input_tokens": 10, "seconds": 1.5},
        ),
        ({"input_tokens": 2**63, "output_tokens": 0.5, "cost_usd": -1, "huge": 10**400}, None),
        ({"input_tokens": True, "output_tokens": "3", "cost_usd": None}, None),
        ({f"n{number}": number for number in range(40)}, {f"n{n}": n for n in range(32)}),
        ([1], None),
    ],
)
def test_a_summary_has_the_numbers_that_the_container_reports(
    server: Server, reported: Any, expected: Any
) -> None:
    answer = {"status": "completed", "usage": reported}
    with odd_container(lambda _: http(200, answer)) as container:
        rollout = server.run(server.pool(container_url=container.url))
    assert server.get(f"/v1/rollouts/{rollout['id']}/summary")["usage"] == expected
    assert "more" not in server.get(f"/v1/rollouts/{rollout['id']}/usage")


def test_usage_is_summed_for_a_pool_its_tasks_and_prometheus(server: Server) -> None:
    def respond(request: Seen) -> bytes:
        if request.method != "POST":
            return http(404, {})
        return http(200, request.json["env"])

    before = scraped(server)
    with odd_container(respond) as container:
        pool_id = server.pool(container_url=container.url, tasks=[{"id": "a"}, {"id": "b"}])
        path = f"/v1/pools/{pool_id}/metrics"
        nothing = {"rollouts": 0, "input_tokens": None, "output_tokens": None, "cost_usd": None}
        assert (server.get(path)["usage"], server.get(path)["task_usage"]) == (nothing, [])
        for task_id, answer in (
            ("a", {"reward": 1, "usage": {"input_tokens": 3, "cost_usd": 0.25}}),
            # Failures cost, too.
            ("a", {"status": "failed", "usage": {"input_tokens": 4, "cost_usd": 0.5}}),
            ("a", {"reward": 1, "usage": {"input_tokens": "4", "cost_usd": -1}}),
            ("b", {"reward": 1, "usage": {"output_tokens": 10**15}}),
            (None, {"reward": 1}),
        ):
            server.run(pool_id, task_id=task_id, env=answer)
    metrics = server.get(path)
    sums = {"input_tokens": 7, "output_tokens": 10**15, "cost_usd": 0.75}
    assert metrics["usage"] == {"rollouts": 3, **sums}
    assert metrics["task_usage"] == [
        {"task_id": "a", "rollouts": 2, **sums, "output_tokens": None},
        {**nothing, "task_id": "b", "rollouts": 1, "output_tokens": 10**15},
    ]
    after = scraped(server)
    counted = {name: after[name] - before.get(name, 0) for name in after}
    assert counted['tokens_total{direction="input"}'] == 7
    assert counted['tokens_total{direction="output"}'] == 10**15
    assert counted["cost_usd_total"] == 0.75
