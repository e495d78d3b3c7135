"""The comparison of the client with raw HTTP sees what each of its methods answers."""

from __future__ import annotations

from typing import Any

import pytest

from synth_pools.contract.client.calls import SyncCaller, call_with_retry
from synth_pools.contract.client.runner import run_client_checks
from synth_pools.contract.options import ApiKey
from synth_pools.contract.preflight import first_contact
from synth_pools.local import LocalBackend
from tests.contract.harness.sessions import session

# What these answer differs each time, or is read by other means.
NOT_COMPARED = {
    "agent_rollouts.artifacts_zip",
    "agent_rollouts.create",
    "agent_rollouts.create_batch",
    "agent_rollouts.replay",
    "agent_rollouts.support_bundle",
    "create_global_rollout",
    "create_rollout",
    "create_rollout_batch",
    "delete_task",
    "event_page",
    "execute_pool_container_rollout",
    "execute_task_container_rollout",
    "get_global_rollout_artifacts_zip",
    "get_global_rollout_support_bundle",
    "get_pool_event_page",
    "replay_rollout",
    "resume",
    "resume_pool",
    "rollouts.create",
    "tasks.delete",
}


def odd(answer: Any) -> Any:
    """Change what a method answers so that whoever reads on in it still finds its way."""
    if isinstance(answer, list):
        return [odd(one) for one in answer]
    if isinstance(answer, bytes):
        return answer + b"x"
    if not isinstance(answer, dict):
        return answer
    changed = {**answer, "odd": 1}
    if isinstance(answer.get("items"), list):
        changed["items"] = odd(answer["items"])
    if isinstance(answer.get("lines"), list):
        changed["lines"] = [*answer["lines"], "odd"]
    return changed


def test_every_method_is_called_and_another_answer_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    called: set[str] = set()
    genuine = SyncCaller.__call__

    def call(self: SyncCaller, name: str, *arguments: Any, **options: Any) -> Any:
        called.add(name)
        return odd(genuine(self, name, *arguments, **options))

    monkeypatch.setattr(SyncCaller, "__call__", call)
    with LocalBackend() as backend:
        of = session(url=backend.url, key=ApiKey(backend.api_key), only=("client.sync",))
        first_contact(of)
        assert run_client_checks(of).obstacle is None
    seen = {
        departure.expected.split()[0]
        for outcome in of.collector.result().outcomes
        for departure in outcome.departures
        if "answers what raw HTTP reads" in departure.expected
    }
    assert called - seen == NOT_COMPARED
    assert "rollouts.events(cursor=...)" in seen
    assert len(called) > 80


def test_a_connection_that_was_just_closed_is_no_answer() -> None:
    class Closed:
        lost = ConnectionError

        def __init__(self, times: int) -> None:
            self._left = times

        def __call__(self, *words: str) -> str:
            self._left -= 1
            if self._left >= 0:
                raise ConnectionError
            return " ".join(words)

    assert call_with_retry(Closed(0), "get", "x") == "get x"
    assert call_with_retry(Closed(1), "get", "x") == "get x"
    with pytest.raises(ConnectionError):
        call_with_retry(Closed(2), "get", "x")
