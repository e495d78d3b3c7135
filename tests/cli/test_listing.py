"""Every command: its help, `commands`, `doctor`, `spec`, and completion."""

from __future__ import annotations

import io
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import pytest

from synth_pools.cli import top
from synth_pools.cli.completion import script_of
from synth_pools.cli.listing import iter_commands
from synth_pools.cli.main import WRITTEN, WRITTEN_IN_GROUPS, root
from synth_pools.cli.operations.table import COMMANDS
from synth_pools.local import LocalBackend
from synth_pools.spec import spec_path
from tests.cli.conftest import Command
from tests.support.backend_server import eventually
from tests.support.commands import run_command
from tests.support.document import OPERATIONS
from tests.support.event_streams import streams_of
from tests.support.process_pools import process
from tests.support.recording import RecordingServer, Reply
from tests.support.terminal import on_terminal

FOUND: list[dict[str, Any]] = list(
    iter_commands(click.Context(root, info_name="synth-pools", **root.context_settings))
)


def test_commands_lists_what_the_document_has(command: Command) -> None:
    listed = json.loads(command("commands", "--output", "json").stdout)["commands"]
    assert listed == FOUND
    by_name = {operation: item for item in listed for operation in item["operations"]}
    assert set(by_name) == set(OPERATIONS)
    for name, item in by_name.items():
        places = set(re.findall(r"{(\w+)}", OPERATIONS[name].path))
        arguments = {argument["name"] for argument in item["arguments"]} | {
            f"{flag.removeprefix('--')}_id"
            for option in item["options"]
            for flag in option["flags"]
        }
        assert places <= arguments, name
        assert ("body" in arguments) == ("requestBody" in OPERATIONS[name].node), name
    table = command("commands").stdout
    assert f"pools list{' ' * 8}" in table


@pytest.mark.parametrize("listed", FOUND, ids=lambda listed: listed["command"])
def test_every_command_has_help(listed: dict[str, Any]) -> None:
    assert listed["help"]
    assert f"synth-pools {listed['command']}" in re.split(r"Examples?:\n", listed["help"])[-1]
    # Lines that are not wrapped fit a terminal, with an indent of two.
    typed = [line for line in listed["help"].splitlines() if line.startswith("  ")]
    assert max(map(len, typed), default=0) <= 78


def test_the_help_of_all_is_as_they_say_themselves() -> None:
    by_name = {command["command"]: command for command in FOUND}
    places = {
        **WRITTEN,
        **{f"{g} {n}": p for g, backend in WRITTEN_IN_GROUPS.items() for n, p in backend.items()},
    }
    for name, (_, _, short) in places.items():
        if name in by_name and short:
            first = " ".join(by_name[name]["help"].split())
            assert first.split()[0] == short.split()[0], name


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {
            "_SYNTH_POOLS_COMPLETE": "bash_complete",
            "COMP_WORDS": "synth-pools rollouts list --pool p",
            "COMP_CWORD": "4",
        },
    ],
    ids=["help", "completion of ids"],
)
def test_help_and_completion_load_no_http_library(
    surroundings: dict[str, str], variables: dict[str, str]
) -> None:
    program = (
        "import atexit, sys; from synth_pools.cli import run;"
        "atexit.register(lambda: print(sorted({'httpx', 'aiohttp', 'yaml', 'json', 'http.client',"
        " 'socket', 'synth_pools.backend', 'synth_pools._client'} & set(sys.modules))));"
        "sys.exit(run(['--help']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**surroundings, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_doctor(command: Command, backend: LocalBackend) -> None:
    done = command("doctor")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{backend.url} (from SYNTH_BACKEND_URL)" in done.stdout
    assert backend.api_key not in done.stdout
    for words in ("extra local", "reachable", "clock"):
        assert words in done.stdout
    wrong = command("doctor", SYNTH_API_KEY="wrong-key")
    assert (wrong.returncode, "401" in wrong.stdout) == (4, True)
    away = command("doctor", "--url", "http://127.0.0.1:9")
    assert away.returncode == 5
    late = Reply.json({"features": []}, date="Thu, 01 Jan 2015 00:00:00 GMT")
    with RecordingServer(late) as server:
        skewed = command("doctor", SYNTH_BACKEND_URL=server.url)
    assert (skewed.returncode, "ahead of that of the service" in skewed.stdout) == (1, True)


def test_doctor_knows_every_extra_and_80_columns(command: Command) -> None:
    extras = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    text = command("doctor", "--url", "http://127.0.0.1:9").stdout
    assert set(re.findall(r"extra (\w+)", text)) == set(extras) - {"all"}
    assert max(map(len, text.splitlines())) <= 80
    # Long findings continue on the next line.
    assert "Connection refused" in " ".join(text.split())


def test_spec(command: Command) -> None:
    assert command("spec", "--path").stdout == f"{spec_path()}\n"
    assert command("spec").stdout == spec_path().read_text()
    assert json.loads(command("spec", "-o", "json").stdout)["openapi"] == "3.1.0"


def test_top(command: Command, backend: LocalBackend) -> None:
    with backend.client() as client:
        pool = client.create_pool({"name": "top"})["id"]
        client.create_rollout(pool, {"mode": "sync"})
    done = command("top", "--once")
    [line] = [line for line in done.stdout.splitlines() if line.startswith(pool)]
    assert line.split()[1:] == ["active", "0", "0", "1", "0", "100%", "echo", "top"]


def test_pools_that_the_echo_target_answers_say_so(command: Command, tmp_path: Path) -> None:
    with LocalBackend(data_dir=tmp_path / "data", allow_processes=True) as backend:
        service = {"SYNTH_BACKEND_URL": backend.url, "SYNTH_API_KEY": backend.api_key}
        unlaunched = {"config": {"process": {"argv": ["/bin/false"]}}}
        with backend.client() as client:
            client.create_pool({"id": "bare"})
            client.create_pool({"id": "foreign", "target": "harbor"})
            client.create_pool({"id": "called", "container_url": "http://127.0.0.1:1"})
            client.create_pool({"id": "called-too", "container_urls": ["http://127.0.0.1:1"]})
            client.create_pool({"id": "started", **unlaunched})
        for words in (
            ["top", "--once"],
            ["pools", "list"],
            ["pools", "list", "--limit", "2", "--all"],
        ):
            lines = command(*words, **service).stdout.splitlines()
            echoing = [line.split()[0] for line in lines if "echo" in line.split()]
            assert echoing == ["bare"], words


def test_top_says_where_containers_run(command: Command, tmp_path: Path) -> None:
    with LocalBackend(data_dir=tmp_path / "data", allow_processes=True) as backend:
        service = {"SYNTH_BACKEND_URL": backend.url, "SYNTH_API_KEY": backend.api_key}
        with backend.client() as client:
            client.create_pool({"id": "placed", "name": "x", "config": {"process": process()}})
            client.create_pool({"id": "named", "name": "x", "container_url": "http://127.0.0.1:1"})
            eventually(lambda: client.get_pool("placed")["status"] == "active")
        text = command("top", "--once", "--containers", **service).stdout
        lines = {line.split()[0]: line.split()[1:] for line in text.splitlines() if line}
        node, launcher, health, *counts, image, url = lines["placed"]
        assert (node, launcher, health) == (platform.node(), "local", "healthy")
        assert (counts, image) == (["0", "0"], "-")
        assert url.startswith("http://127.0.0.1:")
        assert lines["named"][:2] == ["-", "-"]
        assert "NODE" not in command("top", "--once", **service).stdout


def test_top_is_drawn_when_something_happens(
    backend: LocalBackend, surroundings: dict[str, str]
) -> None:
    service = {"SYNTH_BACKEND_URL": backend.url, "SYNTH_API_KEY": backend.api_key}
    with backend.client() as client:
        pool = str(client.create_pool({"name": "top"})["id"])
        # Nothing else would draw it a second time.
        with on_terminal("top", "--every", "3600", **surroundings, **service) as terminal:
            terminal.until(rf"{pool} +\S*active\S* +0 +0 +0 +0")
            eventually(lambda: streams_of(backend) > 0)
            client.create_rollout(pool, {"mode": "sync"})
            terminal.until(rf"{pool} +\S*active\S* +0 +0 +1 +0")
            status, text = terminal.interrupt()
            assert status == 130, text


SHELLS = ("bash", "zsh", "fish")


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_is_one_of_its_shell(command: Command, shell: str, tmp_path: Path) -> None:
    script = command("completion", shell).stdout
    assert script == f"{script_of(shell)}\n"
    assert "_SYNTH_POOLS_COMPLETE" in script
    if shutil.which(shell):
        path = tmp_path / "script"
        path.write_text(script)
        subprocess.run([shell, "-n", str(path)], check=True, timeout=60)


def completed(command: Command, *words: str, **extra: str) -> list[str]:
    line = {"COMP_WORDS": " ".join(["synth-pools", *words]), "COMP_CWORD": str(len(words))}
    shell = {"_SYNTH_POOLS_COMPLETE": "bash_complete"}
    done = command(**line, **shell, **extra)
    # Click writes an empty line where there is nothing.
    return [item.partition(",")[2] for item in done.stdout.split()]


def test_words_are_completed(command: Command) -> None:
    assert completed(command, "rol") == ["rollouts"]
    assert "watch" in completed(command, "rollouts", "wa")
    assert completed(command, "pools", "list", "--sta") == ["--state"]
    assert completed(command, "pools", "list", "-o", "js") == ["json", "jsonl"]


def test_ids_are_completed(command: Command, backend: LocalBackend) -> None:
    with backend.client() as client:
        client.create_pool({"id": "completed-pool", "name": "x"})
        client.create_task("completed-pool", {"task_id": "completed-task"})
    # Another process asks in the background; its answer is there the second time.
    first = completed(command, "pools", "get", "completed-p")
    again = first or eventually(lambda: completed(command, "pools", "get", "completed-p"))
    assert again == ["completed-pool"]
    ask = ("tasks", "delete", "completed-pool", "completed-")
    assert eventually(lambda: completed(command, *ask)) == ["completed-task"]


def test_what_asks_for_ids_asks_once(surroundings: dict[str, str]) -> None:
    with RecordingServer(Reply.json({"error": {"code": "busy"}}, 503)) as server:
        service = {"SYNTH_BACKEND_URL": server.url, "SYNTH_API_KEY": "k"}
        done = run_command("complete-ids", "pool_id", environment={**surroundings, **service})
    assert (done.returncode, done.stderr) == (0, "")
    assert len(server.requests) == 1


def test_every_command_of_the_table_is_reached() -> None:
    names = {command["command"] for command in FOUND}
    assert {" ".join(filter(None, [row.group, row.name])) for row in COMMANDS} <= names


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_top_ends_by_an_interruption_that_a_finalizer_has_dropped(
    backend: LocalBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    def draw(*_: Any, **__: Any) -> str:
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        return ""

    monkeypatch.setattr(top._PoolWatch, "_read", lambda *_: None)
    monkeypatch.setattr(top, "_picture", draw)
    monkeypatch.setattr(sys, "stdout", Screen())
    monkeypatch.setenv("SYNTH_BACKEND_URL", backend.url)
    monkeypatch.setenv("SYNTH_API_KEY", backend.api_key)
    with pytest.raises(click.Abort):
        root.main(["top", "--every", "3600"], standalone_mode=False)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_top_ends_by_an_interruption_that_another_thread_gets(
    backend: LocalBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    senders: list[threading.Thread] = []

    def send() -> None:
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGINT)

    def draw(*_: Any, **__: Any) -> str:
        assert not senders, "it goes on"
        senders.append(threading.Thread(target=send))
        senders[0].start()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        return ""

    monkeypatch.setattr(top._PoolWatch, "_read", lambda *_: None)
    monkeypatch.setattr(top, "_picture", draw)
    monkeypatch.setattr(sys, "stdout", Screen())
    monkeypatch.setenv("SYNTH_BACKEND_URL", backend.url)
    monkeypatch.setenv("SYNTH_API_KEY", backend.api_key)
    try:
        with pytest.raises(click.Abort):
            root.main(["top", "--every", "100"], standalone_mode=False)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        senders[0].join(60)


def test_top_waits_between_two_pictures(
    backend: LocalBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[str] = []
    picture, waited = top._picture, top._PoolWatch.wait

    def draw(*arguments: Any, **options: Any) -> str:
        assert not drawn, "it draws again without a wait"
        drawn.append(picture(*arguments, **options))
        return drawn[-1]

    def wait(watch: top._PoolWatch, seconds: float) -> None:
        assert seconds == 3600
        watch._changes.put(None)
        waited(watch, seconds)
        # Each reported change is drawn once.
        assert watch._changes.empty()
        raise KeyboardInterrupt

    # No event of a pool is a change here.
    monkeypatch.setattr(top._PoolWatch, "_read", lambda *_: None)
    monkeypatch.setattr(top, "_picture", draw)
    monkeypatch.setattr(top._PoolWatch, "wait", wait)
    monkeypatch.setattr(sys, "stdout", Screen())
    monkeypatch.setenv("SYNTH_BACKEND_URL", backend.url)
    monkeypatch.setenv("SYNTH_API_KEY", backend.api_key)
    with pytest.raises(click.Abort):
        root.main(["top", "--every", "3600"], standalone_mode=False)
    assert drawn
