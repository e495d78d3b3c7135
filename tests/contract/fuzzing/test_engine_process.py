"""The engine in a process of its own: its results, created pools, and every end of it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from synth_pools.contract.fuzzing.engine import CheckedExchange, EngineProblem, GeneratedRequest
from synth_pools.contract.fuzzing.engine_process import Targeting, run_in_process
from synth_pools.contract.fuzzing.targeting import RequestTarget, RequestTargeting, RequestTargets
from synth_pools.local import LocalBackend
from tests.contract.fuzzing.test_schemathesis_engine import KEY, settings_for, small_spec

TARGETS = RequestTargets(*(RequestTarget(name) for name in ("read", "pools", "tasks", "archived")))


@dataclass
class Leaving:
    """Targeting that ends its process at the first request."""

    number: int = 7

    def __call__(self, request: GeneratedRequest) -> None:
        os._exit(self.number)

    def observe(self, operation: str, status: int, body: bytes) -> str | None:
        return None


def run(
    url: str,
    spec: dict[str, Any],
    targeting: Targeting,
    register: Callable[[str], None] = lambda _: None,
    tick: Callable[[str, int], None] = lambda *_: None,
    **settings: Any,
) -> list[CheckedExchange | EngineProblem]:
    chosen = settings_for(url, examples=2, **settings)
    return list(run_in_process(spec, chosen, targeting, register=register, tick=tick))


def targeting() -> RequestTargeting:
    return RequestTargeting("mark-", TARGETS, frozenset())


@pytest.mark.system
@pytest.mark.timeout(120)
def test_results_arrive_and_created_pools_are_registered() -> None:
    registered: list[str] = []
    sent: list[int] = []
    with LocalBackend(api_key=KEY) as backend:
        spec = small_spec("/v1/pools")
        results = run(
            backend.url, spec, targeting(), registered.append, lambda _, count: sent.append(count)
        )
        headers = {"authorization": f"Bearer {KEY}"}
        page = httpx.get(f"{backend.url}/v1/pools?limit=1000", headers=headers).json()
    created = {pool["id"] for pool in page["items"]}
    judged = [result for result in results if isinstance(result, CheckedExchange)]
    assert [result for result in results if isinstance(result, EngineProblem)] == []
    assert {checked.operation for checked in judged} == {"list_pools", "create_pool"}
    assert {checked.exchange.status for checked in judged} >= {200, 201, 401, 422}
    assert sent == sorted(sent)
    assert sent[-1] >= len(judged)
    assert created
    assert set(registered) == created
    assert KEY not in repr(judged)


@pytest.mark.timeout(150)
def test_a_stopped_run_ends_its_process() -> None:
    with LocalBackend(api_key=KEY) as backend:
        spec = small_spec("/v1/pools")
        results = run(backend.url, spec, targeting(), is_stopped=lambda: True)
    assert not any(
        isinstance(result, EngineProblem) or result.phase == "fuzzing" for result in results
    )


@pytest.mark.timeout(150)
def test_a_process_that_ends_early_is_a_problem_and_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LocalBackend(api_key=KEY) as backend:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        results = run(backend.url, small_spec("/v1/capabilities"), Leaving())
    assert [*tmp_path.iterdir()] == []
    assert results == [EngineProblem(None, "the process of the engine ended early", network=False)]


@pytest.mark.timeout(150)
def test_an_error_of_the_engine_is_a_problem() -> None:
    (problem,) = run("http://127.0.0.1:9", {"openapi": "none"}, targeting())
    assert isinstance(problem, EngineProblem)
    assert (problem.operation, problem.network) == (None, False)
    assert problem.text.startswith("LoaderError: ")
