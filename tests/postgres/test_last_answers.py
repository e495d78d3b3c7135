"""Last answers of containers to rollouts that another backend cancels."""

from __future__ import annotations

from pathlib import Path

from tests.postgres.test_several_backends import several
from tests.support.backend_server import eventually
from tests.support.spending_container import begun, cancel, scraped, spending_container


def test_what_another_backend_cancels_has_its_usage_once(store: str, tmp_path: Path) -> None:
    with spending_container() as (url, goes_on), several(2, store, tmp_path) as (first, second):
        pool_id = first.pool(container_url=url, concurrency=64)
        ids = begun(first, pool_id, 32)
        ids += begun(second, pool_id, 32)
        goes_on.set()
        for rollout_id in ids:
            cancel(second, rollout_id)
        path = f"/v1/pools/{pool_id}/metrics"
        eventually(lambda: first.get(path)["usage"]["rollouts"] == 64)
        assert first.get(path)["usage"]["cost_usd"] == 32
        assert second.get(path)["cancelled_rollouts"] > 0
        for rollout_id in ids:
            assert len(first.get(f"/v1/rollouts/{rollout_id}/trajectory")["steps"]) == 1
        costs = [scraped(server).get("cost_usd_total", 0) for server in (first, second)]
        assert sum(costs) == 32
