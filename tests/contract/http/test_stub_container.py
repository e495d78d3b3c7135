"""Stub containers: their behaviours and the requests that they remember."""

from __future__ import annotations

import threading
from typing import Any

import httpx
import pytest

from synth_pools.contract.http.stub_container import ARTIFACT, BEHAVIOURS, INFO, StubContainers


def test_each_behaviour_answers_in_its_own_way() -> None:
    with StubContainers() as containers:
        assert set(containers.urls) == {*BEHAVIOURS, "nobody"}
        told = {name: httpx.get(f"{containers.urls[name]}/info") for name in BEHAVIOURS}
        with pytest.raises(httpx.ConnectError):
            httpx.get(containers.urls["nobody"])
    assert told["good"].json() == told["twin"].json() == INFO
    assert told["bare"].status_code == 404
    assert told["broken"].headers["content-type"] == "text/html"


@pytest.mark.parametrize(
    ("env", "wanted"),
    [
        ({}, {"status": "completed", "metrics": {"outcome_reward": 1.0}, "artifact": [ARTIFACT]}),
        ({"reward": 0.5}, {"summary": {"reward": 0.5}}),
        ({"fail": True}, {"status": "failed", "success_status": "runtime_error", "artifact": []}),
        ({"answer": {"status": "odd"}}, {"status": "odd"}),
    ],
)
def test_a_rollout_obeys_its_env(env: dict[str, Any], wanted: dict[str, Any]) -> None:
    body = {"rollout_id": "rollout_1", "env": env}
    with StubContainers() as containers:
        answer = httpx.post(f"{containers.urls['good']}/rollouts", json=body)
        (received,) = containers.received.of_rollout("rollout_1")
    assert wanted.items() <= answer.json().items()
    assert (received.behaviour, received.path, received.body) == ("good", "/rollouts", body)


def test_termination_ends_a_slow_rollout() -> None:
    body = {"rollout_id": "slow/1", "env": {"delay": 600}}
    with StubContainers() as containers:
        url = containers.urls["good"]
        answers: list[int] = []

        def run() -> None:
            answers.append(httpx.post(f"{url}/rollouts", json=body, timeout=30).status_code)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        assert not containers.received.was_terminated("slow/1")
        httpx.post(f"{url}/rollouts/slow%2F1/terminate")
        assert containers.received.was_terminated("slow/1")
        thread.join(30)
    assert answers == [200]


def test_a_held_rollout_answers_once_it_is_released() -> None:
    body = {"rollout_id": "held", "env": {"hold": True}}
    with StubContainers() as containers:
        answers: list[int] = []

        def run() -> None:
            url = f"{containers.urls['good']}/rollouts"
            answers.append(httpx.post(url, json=body, timeout=30).status_code)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        while not containers.received.of_rollout("held"):
            thread.join(0.01)
        assert answers == []
        containers.received.release("held")
        thread.join(30)
    assert answers == [200]
