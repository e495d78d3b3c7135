"""Examples of container.openapi.yaml, and the answers that the backend reads by it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, get_args

import jsonschema_rs
import pytest

from synth_pools.backend.domain.target import Answer, Probe
from synth_pools.backend.domain.validation import ContainerOperation, is_answer
from synth_pools.backend.limits import Limits
from synth_pools.backend.rollouts.polling import is_accepted
from synth_pools.backend.rollouts.results import interpret
from synth_pools.spec import load_container_spec

SPEC = load_container_spec()


def resolve(node: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        target: Any = SPEC
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


def bodies() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in SPEC["paths"].items():
        for method in ("get", "post"):
            operation = item.get(method, {})
            bodies = [operation.get("requestBody", {}), *operation.get("responses", {}).values()]
            for body in bodies:
                for media in resolve(body).get("content", {}).values():
                    yield f"{method} {path}", media


def test_every_example_is_one() -> None:
    checked_count = 0
    for name, media in bodies():
        validator = jsonschema_rs.Draft202012Validator(
            {**media["schema"], "components": SPEC["components"]}
        )
        for example in media["examples"].values():
            assert example["summary"], name
            assert validator.is_valid(example["value"]), name
            checked_count += 1
    assert checked_count > 15


GOOD: list[tuple[ContainerOperation, Any]] = [
    ("get_health", {}),
    ("get_health", {"status": 7, "healthy": None}),
    ("run_rollout", {"status": "x"}),
    ("run_rollout", {"success_status": "x", "status": 1}),
    ("run_rollout", {"reward": 0}),
    ("run_rollout", {"metrics": {"outcome_reward": 1.5}, "status": None}),
    ("run_rollout", {"reward_info": {"outcome_reward": -1}}),
    ("run_rollout", {"summary": {"reward": 1, "outcome_reward": "much"}}),
    ("get_rollout", {"status": "x", "metrics": [[[[]]]]}),
    ("get_rollout_events", {"events": []}),
    ("get_rollout_events", {"events": [{}, {"sequence": "x"}], "cursor": 5}),
]
BAD: list[tuple[ContainerOperation, Any]] = [
    ("get_health", {"healthy": False}),
    ("run_rollout", {}),
    ("run_rollout", {"status": None, "reward": True}),
    ("run_rollout", {"metrics": {"outcome_reward": "1"}, "summary": 1}),
    ("run_rollout", []),
    ("get_rollout", {"reward": 1}),
    ("get_rollout", {"status": ["running"]}),
    ("get_rollout_events", {}),
    ("get_rollout_events", {"events": {}}),
    ("get_rollout_events", {"events": ["x"]}),
]


@pytest.mark.parametrize(("operation", "answer"), GOOD)
def test_what_the_backend_reads(operation: ContainerOperation, answer: Any) -> None:
    assert is_answer(operation, answer)


@pytest.mark.parametrize(("operation", "answer"), BAD)
def test_what_it_does_not(operation: ContainerOperation, answer: Any) -> None:
    assert not is_answer(operation, answer)


def test_an_answer_may_be_of_any_depth_and_hold_any_text() -> None:
    deep: Any = 1
    for _ in range(5_000):
        deep = {"a": [deep]}
    answer = {"status": "completed", "metrics": deep, "trace": [deep], "\ud800": "\udfff"}
    assert is_answer("run_rollout", answer)
    assert is_answer("get_rollout", answer)
    assert is_answer("get_rollout_events", {"events": [deep] * 3})


def words_of(begin: str, end: str) -> list[str]:
    [text] = re.findall(f"{begin}(.*?){end}", SPEC["info"]["description"], re.DOTALL)
    return re.findall(r"`([a-z_]+)`", text)


def means(**document: Any) -> str:
    answer = Answer(document, b"")
    return "under way" if is_accepted(answer) else interpret(answer, Limits()).status


def test_states_mean_what_the_document_says() -> None:
    pending = words_of("in capitals or not", "under way")
    failures = words_of("Every other word", "are a failure")
    successes = words_of("other than", "the rest")
    assert (len(pending), len(failures), len(successes)) == (9, 8, 4)
    for word in pending:
        assert means(status=word) == means(status=word.upper()) == "under way"
    for word in failures:
        assert means(status=word, success_status="ok") == means(status=word.upper()) == "failed"
    for word in successes:
        assert means(success_status=word) == means(status="x", success_status=word) == "completed"
    for value in ("failure", 1, False):
        assert means(status="completed", success_status=value) == "failed"
    assert means(status="x", success_status=None) == means(reward=1) == "completed"


def test_every_question_about_a_container_is_in_the_document() -> None:
    assert {f"/{name}" for name in get_args(Probe)} < set(SPEC["paths"])
