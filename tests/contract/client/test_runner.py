"""The comparison of the client with raw HTTP sees what each of its methods answers."""

from __future__ import annotations

import re
from typing import Any

import pytest

from synth_pools.contract.client.calls import AsyncCaller, SyncCaller
from synth_pools.contract.client.runner import run_client_checks
from synth_pools.contract.options import ApiKey
from synth_pools.contract.preflight import first_contact
from synth_pools.contract.results import LayerResult
from synth_pools.local import LocalBackend
from tests.contract.harness.sessions import DOCUMENT, departures, session

# Methods whose answer differs each time, or is read by other means.
NOT_COMPARED = {
    "delete_task",
    "execute_pool_container_rollout",
    "execute_task_container_rollout",
    "tasks.delete",
}
# Parts of answers to change; elsewhere a field of the answer itself is changed.
_INNER = ("rollout", "error", "request", "metadata")


def odd(answer: Any) -> Any:
    """Change the answer of a method so that it can still be read on."""
    if isinstance(answer, list):
        return [odd(item) for item in answer]
    if isinstance(answer, bytes):
        return b"x" + answer
    if not isinstance(answer, dict):
        return answer
    changed = {**answer, "odd": 1}
    for name in _INNER:
        if isinstance(answer.get(name), dict):
            changed[name] = odd(answer[name])
    if isinstance(answer.get("items"), list):
        changed["items"] = odd(answer["items"])
    for name in ("lines", "events"):
        if isinstance(answer.get(name), list):
            changed[name] = [*answer[name], "odd"]
    return changed


@pytest.mark.parametrize(
    ("check", "kind"), [("client.sync", SyncCaller), ("client.async", AsyncCaller)]
)
def test_every_method_is_called_and_another_answer_is_seen(
    check: str, kind: type[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    called: set[str] = set()
    genuine = kind.__call__

    def call(self: Any, name: str, *arguments: Any, **options: Any) -> Any:
        called.add(name)
        return odd(genuine(self, name, *arguments, **options))

    monkeypatch.setattr(kind, "__call__", call)
    with LocalBackend() as backend:
        of = session(url=backend.url, key=ApiKey(backend.api_key), only=(check,))
        first_contact(of)
        assert run_client_checks(of).obstacle is None
    outcomes = of.collector.result().outcomes
    assert {outcome.check for outcome in outcomes if outcome.check.startswith("client.")} == {check}
    observed = {
        departure.expected.split()[0]
        for departure in departures(of)
        if re.search("answers (what raw HTTP reads|an archive)$", departure.expected)
    }
    assert called - observed == NOT_COMPARED
    assert "rollouts.events(cursor=...)" in observed
    assert len(called) > 80
    # Each check judges one operation, which has its verdict.
    assert {outcome.operation for outcome in outcomes} >= set(DOCUMENT.operations)


@pytest.mark.parametrize("check", ["client.sync", "client.async"])
def test_what_is_right_is_taken(check: str) -> None:
    with LocalBackend() as backend:
        of = session(url=backend.url, key=ApiKey(backend.api_key), only=(check,))
        first_contact(of)
        assert run_client_checks(of) == LayerResult()
    assert departures(of) == []
    names = {cell.operation for cell in of.collector.result().outcomes if cell.check == check}
    assert names >= set(DOCUMENT.operations)
