"""The adapter of schemathesis: its requests, its files and its end."""

from __future__ import annotations

import copy
import time
from pathlib import Path
from typing import Any

import pytest

from synth_pools.contract.fuzzing.checks import CHECKS
from synth_pools.contract.fuzzing.engine import CheckedExchange, EngineProblem, EngineSettings
from synth_pools.contract.fuzzing.schemathesis_engine import _changes_on_the_way, run_engine
from synth_pools.contract.options import ApiKey
from synth_pools.local import LocalBackend
from synth_pools.spec import load_spec

KEY = "engine-key-0123456789"


def small_spec(*paths: str) -> dict[str, Any]:
    spec = copy.deepcopy(load_spec())
    spec["paths"] = {path: spec["paths"][path] for path in paths}
    # Links to omitted operations would make the document invalid.
    for item in spec["paths"].values():
        for operation in item.values():
            for answer in (
                operation.get("responses", {}).values() if isinstance(operation, dict) else ()
            ):
                answer.pop("links", None)
    return spec


def settings_for(url: str, examples: int = 3, **settings: Any) -> EngineSettings:
    return EngineSettings(
        url=url,
        api_key=ApiKey(KEY),
        seed=5,
        examples=examples,
        phases=("examples", "coverage", "fuzzing"),
        checks=tuple(CHECKS),
        **settings,
    )


def run(url: str, spec: dict[str, Any], **settings: Any) -> list[CheckedExchange | EngineProblem]:
    return list(run_engine(spec, settings_for(url, **settings), tick=lambda *_: None))


def test_requests_repeat_are_authorized_and_masked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A foreign configuration in the working directory must not count.
    (tmp_path / "schemathesis.toml").write_text("[phases.coverage]\nenabled = false\n")
    monkeypatch.chdir(tmp_path)
    spec = small_spec("/v1/pools")
    sent = []
    for _ in range(2):
        with LocalBackend(api_key=KEY) as backend:
            results = run(backend.url, spec, read_only=True)
        judged = [result for result in results if isinstance(result, CheckedExchange)]
        assert [result for result in results if isinstance(result, EngineProblem)] == []
        assert [checked for checked in judged if checked.failed] == []
        assert {checked.exchange.method for checked in judged} == {"GET"}
        assert {checked.exchange.status for checked in judged} >= {200, 401, 422}
        assert KEY not in repr(judged)
        sent.append([checked.exchange.url.split("/v1/")[1] for checked in judged])
    assert sent[0] == sent[1]
    assert [path.name for path in tmp_path.iterdir()] == ["schemathesis.toml"]


def test_what_is_sent_is_judged() -> None:
    with LocalBackend(api_key=KEY) as backend:
        results = run(backend.url, small_spec("/v1/capabilities"), read_only=True)
    checks = {name for item in results if isinstance(item, CheckedExchange) for name in item.passed}
    assert "not_a_server_error" in checks
    assert {result.operation for result in results} == {"get_capabilities"}


@pytest.mark.parametrize(
    ("value", "changes"),
    [
        *((text, True) for text in ("", ".", "..", "%2e%2E", "a\x7f", "%7F", "\x1fa", "%00")),
        *((text, False) for text in ("a", "...", "a.", "~", "\x80", "%C3%BC", " ", 7)),
    ],
)
def test_what_proxies_make_another_path_of_is_not_sent(value: object, changes: bool) -> None:
    assert _changes_on_the_way(value) is changes


@pytest.mark.timeout(120)
def test_a_server_that_is_not_there_is_a_trouble_and_no_traceback() -> None:
    results = run("http://127.0.0.1:9", small_spec("/v1/capabilities"), read_only=True)
    assert any(isinstance(result, EngineProblem) and result.network for result in results)


def test_the_deadline_ends_it() -> None:
    with LocalBackend(api_key=KEY) as backend:
        results = run(backend.url, small_spec("/v1/pools"), deadline=time.monotonic())
    (late,) = [result for result in results if isinstance(result, EngineProblem)]
    assert "time was up" in late.text
    assert len(results) < 500
