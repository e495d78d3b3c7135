"""Processes of the kit: they obey it, end with it, and have to end with their pool."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from synth_pools.contract.exceptions import InconclusiveError, StopScenarioError
from synth_pools.contract.harness.processes import (
    KitProcesses,
    delete_and_wait,
    kit_processes,
    process_pool,
)
from synth_pools.contract.http.process_container import EXIT_CODE
from synth_pools.contract.results import Outcome
from synth_pools.contract.session import Session
from tests.contract.harness.sessions import answering, asked, context, departures, session
from tests.support.backend_server import eventually
from tests.support.faults import answer
from tests.support.ports import HeldPort

_SECONDS = 60


@pytest.fixture
def port() -> Iterator[int]:
    with HeldPort() as reserved:
        yield reserved.number


def _start(kit: KitProcesses, port: int, *words: str) -> subprocess.Popen[bytes]:
    argv = [str(port) if word == "{port}" else word for word in kit.definition(*words)["argv"]]
    return subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def test_a_process_waits_until_it_is_told_to_serve_and_ends_with_the_kit(port: int) -> None:
    with KitProcesses() as kit:
        kit.order = "wait"
        process = _start(kit, port, "a-word")
        try:
            (started,) = eventually(kit.started)
            # Ends with its child.
            eventually(lambda: len(kit.running()) == 2)
            assert kit.alive() == [started]
            assert (started.hello["pid"], started.hello["cwd"]) == (process.pid, str(Path.cwd()))
            assert started.hello["argv"][-1] == "a-word"
            assert not started.exited.is_set()
            kit.tell("listen")

            def is_healthy() -> bool:
                try:
                    return httpx.get(f"http://127.0.0.1:{port}/health").status_code == 200
                except httpx.TransportError:
                    return False

            eventually(is_healthy)
            kit.__exit__()
            assert process.wait(_SECONDS) == 0
            assert started.exited.wait(_SECONDS)
            eventually(lambda: not kit.running())
            assert (kit.alive(), kit.started()) == ([], [started])
        finally:
            process.kill()
            process.wait()


def test_a_process_that_starts_later_is_told_as_well(port: int) -> None:
    with KitProcesses() as kit:
        kit.tell("exit")
        process = _start(kit, port)
        assert process.wait(_SECONDS) == EXIT_CODE
        (started,) = kit.started()
        assert started.exited.wait(_SECONDS)
        # Its child is not the kit's to end.
        eventually(lambda: len(kit.running()) == 1)
        assert kit.alive() == []


def test_nobody_reaches_a_kit_that_has_ended() -> None:
    with KitProcesses() as kit:
        argv = kit.definition()["argv"]
        address = "127.0.0.1", int(argv[argv.index("--kit") + 1])
        late = socket.create_connection(address, _SECONDS)
        with socket.create_connection(address, _SECONDS) as early:
            early.sendall(b'{"pid": 1}\n')
            # The kit has noticed the late connection, too, by then.
            eventually(kit.started)
    with late:
        late.sendall(b'{"pid": 2}\n')
        assert late.recv(64) == b""
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(address, _SECONDS)


def test_a_definition_has_further_words_variables_and_fields() -> None:
    with KitProcesses() as kit:
        definition = kit.definition("one", "two", env={"KIT_TEXT": "x"}, restart="never")
        plain = kit.definition()
    assert definition["argv"] == [*plain["argv"], "one", "two"]
    assert definition["env"] == {"KIT_PORT": "{port}", "KIT_TEXT": "x"}
    assert plain["env"] == {"KIT_PORT": "{port}"}
    assert (definition["restart"], "restart" in plain) == ("never", False)
    assert definition["start_timeout_seconds"] > 60


def test_processes_need_a_backend_on_this_machine() -> None:
    run = session()
    with pytest.raises(InconclusiveError, match="needs a backend on this machine") as raised:
        kit_processes(context(run, "delete_pool"))
    assert (raised.value.outcome, raised.value.operation) == (Outcome.NOT_REACHED, "delete_pool")
    run.containers = {"good": "http://127.0.0.1:1"}
    with kit_processes(context(run)) as kit:
        assert kit.started() == []


def test_a_pool_of_a_process_is_one_without_a_container() -> None:
    with answering({"create_pool": [answer({"id": "p"}, 201), answer({}, 400)]}) as (run, server):
        ctx = context(run)
        pool = process_pool(ctx, {"argv": ["x"]}, config={"more": 1}, concurrency=2)
        assert pool.at("id") == "p"
        (sent,) = (request.json for request in asked(server, "create_pool"))
        with pytest.raises(StopScenarioError):
            process_pool(ctx, {"argv": ["x"]})
    expected: dict[str, Any] = {
        "container_url": None,
        "config": {"process": {"argv": ["x"]}, "more": 1},
        "concurrency": 2,
        "pool_id": run.pool_id("a-b-1"),
        "name": run.pool_id("a-b-1"),
    }
    assert {name: sent[name] for name in expected} == expected
    assert run.pool_id("a-b-1") in run.created.remaining()


def test_processes_that_outlive_their_pool_are_the_deletions_departure(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Session, "allowance", lambda _, seconds: seconds)
    monkeypatch.setattr(Session, "is_proof", lambda *_: True)
    pool = {"pool_id": "p"}
    answers = {"delete_pool": answer({"id": "p"}), "get_pool": answer({"id": "p"})}
    with answering(answers) as (run, server), KitProcesses() as kit:
        ctx = context(run, "delete_pool")
        delete_and_wait(ctx, pool, kit)
        assert [departure for departure in departures(run) if departure.check == "a.b"] == []
        kit.order = "wait"
        process = _start(kit, port)
        try:
            eventually(lambda: len(kit.running()) == 2)
            run.patience = 0.01
            delete_and_wait(ctx, pool, kit)
        finally:
            process.kill()
            process.wait()
        assert len(asked(server, "delete_pool")) == 2
    (departed,) = (departure for departure in departures(run) if departure.check == "a.b")
    assert (departed.operation, departed.expected, departed.got) == (
        "delete_pool",
        "the processes and all their children end with their pool",
        "2 still run",
    )
