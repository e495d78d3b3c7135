"""Ends of a run: every kind of end leaves the reports."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from synth_pools.contract import run_contract
from synth_pools.contract.collector import ResultCollector
from synth_pools.contract.exceptions import InterruptedRunError, UnjudgeableError
from synth_pools.contract.fuzzing.runner import run_fuzzing
from synth_pools.contract.harness.run_record import RunRecord
from synth_pools.contract.http.client import HttpClient
from synth_pools.contract.options import ApiKey, Options
from synth_pools.contract.results import Outcome, Report
from synth_pools.contract.run import clean_leftovers
from synth_pools.contract.session import Session
from synth_pools.local import LocalBackend
from synth_pools.spec import load_spec
from tests.contract.faults.fault import KEY
from tests.contract.harness.sessions import DOCUMENT, answering
from tests.contract.selftest.watched import watched
from tests.support.faults import Wire, answer, stall


@pytest.mark.timeout(120)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_with_reports(number: signal.Signals, tmp_path: Path) -> None:
    files = {kind: tmp_path / f"report.{kind}" for kind in ("json", "html", "xml")}
    with watched() as server:
        command = [
            *(sys.executable, "-m", "synth_pools", "contract-test", server.url),
            *("--only", "events.heartbeat", "--only", "pages", "--json", str(files["json"])),
            *("--report", str(files["html"]), "--junit", str(files["xml"])),
        ]
        environment = {**os.environ, "SYNTH_API_KEY": KEY}
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            while not any("/events" in path for _, path, _ in server.requests):
                assert process.poll() is None
                time.sleep(0.02)
            process.send_signal(number)
            out, error = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert "interrupted" in error
    assert out.splitlines()[-1].startswith("could not be judged: it was interrupted")
    document = json.loads(files["json"].read_text())
    assert document["obstacles"] == ["it was interrupted"]
    assert document["checks"]
    assert all(file.stat().st_size for file in files.values())


@pytest.mark.timeout(120)
def test_the_end_of_the_time_is_no_interruption() -> None:
    with LocalBackend(api_key=KEY) as backend:
        key = ApiKey(KEY)
        options = Options(
            backend.url, key, "0a1b2c3d", 1, deadline=time.monotonic(), spec=load_spec()
        )
        http = HttpClient(backend.url, key, DOCUMENT)
        result = run_fuzzing(Session(options, DOCUMENT, http, ResultCollector(DOCUMENT)))
        http.close()
    assert result.obstacle is None
    assert result.note == "generated requests: time was up before all of them were sent"


@pytest.mark.system
@pytest.mark.timeout(120)
def test_a_run_that_is_stopped_is_not_interrupted() -> None:
    with LocalBackend(api_key=KEY) as backend:
        key = ApiKey(KEY)
        options = Options(backend.url, key, "0a1b2c3d", 1, spec=load_spec())
        http = HttpClient(backend.url, key, DOCUMENT)
        session = Session(options, DOCUMENT, http, ResultCollector(DOCUMENT))
        run_fuzzing(session, lambda _: http.stop.set())
        assert http.stop.is_set()
        http.close()


def test_what_hangs_is_ended_some_time_after_the_end_of_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        importlib.import_module("synth_pools.contract.harness.run_record"), "_LAST_SECONDS", 0.0
    )
    expected = "the time ran out before every scenario was played: give it more"
    with LocalBackend(api_key=KEY) as backend:
        for seconds in (3.0, 12.0):
            report = run_contract(
                backend.url, api_key=KEY, seed=1, only=("events.heartbeat",), max_time=seconds
            )
            assert report.exit_code == 2
            # A busy machine may not come to the scenarios in a short time.
            if expected in report.obstacles:
                break
    assert expected in report.obstacles


def test_the_report_comes_before_the_clean_up() -> None:
    reports: list[tuple[Report, int]] = []
    with watched() as server:

        def deletions() -> int:
            return sum(method == "DELETE" for method, _, _ in server.requests)

        report = run_contract(
            server.url,
            api_key=KEY,
            seed=1,
            only=("pages.limit",),
            on_report=lambda early: reports.append((early, deletions())),
        )
        assert deletions() > reports[0][1]
    assert [early.outcomes for early, _ in reports] == [report.outcomes]


def test_an_interrupted_run_has_its_report() -> None:
    def interrupt(phase: str, done: int, total: int) -> None:
        if phase == "scenarios":
            raise KeyboardInterrupt

    with LocalBackend(api_key=KEY) as backend:
        with pytest.raises(InterruptedRunError) as raised:
            run_contract(backend.url, api_key=KEY, only=("pages",), progress=interrupt)
        with backend.client() as client:
            assert client.list_pools()["items"] == []
    report = raised.value.report
    assert report.obstacles == ("it was interrupted",)
    assert Outcome.HELD in report.counts()


def test_no_deletion_overtakes_the_creation_that_was_open_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = importlib.import_module(run_contract.__module__)
    may_answer = threading.Event()

    async def create(wire: Wire) -> bool:
        await asyncio.to_thread(may_answer.wait, 60)
        return await answer(status=201)(wire)

    def pause(_: float) -> None:
        # The clean-up waits for the creation.
        may_answer.set()
        creating.join(60)

    clock = SimpleNamespace(monotonic=time.monotonic, sleep=pause)
    monkeypatch.setattr(run, "time", clock)
    answers = {"create_pool": create, "delete_pool": answer()}
    with answering(answers) as (session, server):
        session.register_pool("x")
        creating = threading.Thread(
            target=lambda: session.http.call("create_pool", json={"pool_id": "x"})
        )
        creating.start()
        server.wait_for(1)
        record = RunRecord(1, "quick", session=session)
        run._clean_up(record, session, lambda *_: None)
        assert may_answer.is_set()
        assert [sent.method for sent in server.requests] == ["POST", "DELETE"]


def _contact(**later: Any) -> dict[str, Any]:
    """Return the answers of a backend, at the first contact and later."""
    first = {
        "get_capabilities": answer({"features": {}}),
        "list_pools": answer({"items": []}),
        "get_queue_status": answer({"queued": 0}),
    }
    return {name: [item, later[name]] if name in later else item for name, item in first.items()}


def test_leftovers_are_removed_and_counted() -> None:
    pool = {"pool_id": "contract-kit-0123abcd-x", "status": "active"}
    answers = _contact(list_pools=answer({"items": [pool], "next_cursor": None}))
    for status, counts in ((200, (1, 0)), (409, (0, 1))):
        with answering({**answers, "delete_pool": answer(status=status)}) as (_, server):
            assert clean_leftovers(server.url, api_key=KEY) == counts
            assert {sent.headers["authorization"] for sent in server.requests} == {f"Bearer {KEY}"}


def test_leftovers_of_a_backend_that_goes_away_are_told_in_one_line() -> None:
    with answering(_contact(list_pools=stall())) as (_, server):

        def leave() -> None:
            server.wait_for(4)
            server.refuse()

        leaving = threading.Thread(target=leave)
        leaving.start()
        with pytest.raises(UnjudgeableError, match=r"the connection was lost \(127.0.0.1:"):
            clean_leftovers(server.url, api_key=KEY)
        leaving.join()


def test_leftovers_of_a_busy_backend_are_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.import_module(HttpClient.__module__), "_BUSY_SECONDS", -1.0)
    with (
        answering(_contact(list_pools=answer(status=429))) as (_, server),
        pytest.raises(UnjudgeableError, match="the server is too busy: list_pools answers 429"),
    ):
        clean_leftovers(server.url, api_key=KEY)
