"""Results that the container package makes by default."""

from __future__ import annotations

from tests.support.backend_server import Server
from tests.support.containers import real_container


def test_the_packages_own_result_is_a_success_with_its_reward(server: Server) -> None:
    with real_container() as url:
        rollout = server.run(server.pool(container_url=url), seed=7, params={"packaged": True})
    assert rollout["result"]["success_status"] == "succeeded"
    assert rollout["status"] == "completed"
    assert rollout["score"] == 7.0
