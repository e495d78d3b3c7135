"""Commands for operations: formats, bodies, exit statuses, suggestions; and every example."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from synth_pools.cli.failures import EXIT_STATUSES, ExitStatus
from synth_pools.cli.operations.commands import command_of
from synth_pools.cli.operations.model import CommandRow
from synth_pools.cli.operations.table import COMMANDS
from synth_pools.local import LocalBackend
from tests.cli.conftest import Command
from tests.support.document import SPEC
from tests.support.recording import RecordingServer, Reply
from tests.support.terminal import on_terminal

# A form that no encoder of Python writes.
OWN = (
    b'{ "items":[ {"id":"one", "status":"active","score":1.50 },\n'
    b'{"id":"tw\\u00f6","name":"\\u001b[31m","nested":{\n"a":[1,2]}}] ,"next_cursor":null}'
)
POOL = "docs-example-pool"


@pytest.fixture
def server() -> Iterator[RecordingServer]:
    with RecordingServer(Reply(200, OWN)) as server:
        yield server


def at(server: RecordingServer) -> dict[str, str]:
    return {"SYNTH_BACKEND_URL": server.url, "SYNTH_API_KEY": "k"}


def test_json_is_the_services_own(command: Command, server: RecordingServer) -> None:
    done = command("pools", "list", "-o", "json", **at(server))
    assert (done.returncode, done.stdout.encode(), done.stderr) == (0, OWN + b"\n", "")


def test_lines_are_the_items_as_they_are(command: Command, server: RecordingServer) -> None:
    done = command("pools", "list", "-o", "jsonl", **at(server))
    first, second = done.stdout.splitlines()
    assert first == '{"id":"one", "status":"active","score":1.50 }'
    assert json.loads(second) == json.loads(OWN)["items"][1]


def test_other_formats(command: Command, server: RecordingServer) -> None:
    assert command("pools", "list", "-o", "id", **at(server)).stdout == "one\ntwö\n"
    result = command("pools", "ls", "-o", "yaml", **at(server))
    assert yaml.safe_load(result.stdout) == json.loads(OWN)
    table = command("pools", "list", **at(server))
    assert table.stdout.splitlines() == [
        "ID   STATUS  NAME      CONCURRENCY  CONTAINER URL  CREATED AT",
        "one  active  -         -            -              -",
        "twö  -       \\x1b[31m  -            -              -",
    ]
    # Control characters are escaped.
    server.reply_with(Reply.json({"name": "\x1b[31m"}))
    text = command("pools", "get", "p", **at(server)).stdout
    assert text == "name  \\x1b[31m\n"


def test_all_pages_are_read_where_they_are_asked_for(command: Command) -> None:
    def answer(request: Any) -> Reply:
        last = ("cursor", "2") in request.query
        page: dict[str, Any] = {"items": [{"id": "b" if last else "a"}]}
        return Reply.json({**page, "next_cursor": None if last else "2"})

    with RecordingServer(answer) as server:
        item = command("pools", "list", "-o", "id", "--limit", "1", **at(server))
        assert item.stdout == "a\n"
        listed = command("pools", "list", **at(server))
        assert listed.stderr == "There is more: --all, or --cursor 2\n"
        every = command("pools", "list", "-o", "id", "--all", **at(server))
        assert (every.stdout, every.stderr) == ("a\nb\n", "")
        rest = command("pools", "list", "-o", "id", "--cursor", "2", **at(server))
        assert (rest.stdout, rest.stderr) == ("b\n", "")


@pytest.mark.parametrize("form", ["table", "json", "id"])
def test_a_cursor_that_leads_nowhere_is_told(
    command: Command, backend: LocalBackend, form: str
) -> None:
    place = ("--url", backend.url)
    for noun in ("pools", "rollouts"):
        done = command(noun, "list", "--cursor", "nonsense", "-o", form, *place)
        assert (done.returncode, done.stdout) == (ExitStatus.USAGE, "")
        assert done.stderr.startswith("synth-pools: error: --cursor")


def test_bodies(command: Command, server: RecordingServer, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"seed": 1, "env": {"x": 1}, "task_id": "t"}')
    (tmp_path / "b.yaml").write_text("seed: 2\nenv: {y: [1, 2]}\n")
    server.reply_with(Reply(202, b'{"id":"r"}'))

    def sent(*words: str) -> Any:
        done = command("rollouts", "create", *words, **at(server))
        assert (done.returncode, done.stderr) == (0, "")
        return server.last.json

    assert sent(f"@{tmp_path / 'a.json'}", "seed=3", "env.x=true") == {
        "seed": 3,
        "env": {"x": True},
        "task_id": "t",
    }
    assert sent(f"@{tmp_path / 'b.yaml'}") == {"seed": 2, "env": {"y": [1, 2]}}
    # Values are parsed by the type in the schema.
    assert sent("task_id=7", "seed=7", "messages:=[]") == {
        "task_id": "7",
        "seed": 7,
        "messages": [],
    }
    assert sent("env.free=07", "env.n=null", "env.t=a=b") == {
        "env": {"free": "07", "n": None, "t": "a=b"}
    }


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["sed=7"], "sed: no such key; did you mean seed?"),
        (["seed=x"], 'seed: must be an integer, not "x"'),
        (["@missing.json"], "missing.json: No such file or directory"),
        (["@bad.json"], "bad.json: line 2, column 10: not JSON: Expecting value"),
        (["@bad.yaml"], "bad.yaml: line 2, column 4: not YAML: "),
        (["@date.yaml"], "date.yaml: YAML that JSON has no form for"),
        (["@list.json"], "list.json: must hold an object, not list"),
        (["seed"], "'seed' is no part of a body: write KEY=VALUE, @FILE or -"),
        (["seed:=NaN"], "NaN is no number of JSON"),
        (["seed=1", "seed.x=1"], "seed.x: seed is no object in what came before"),
        ([], "a body is needed: KEY=VALUE, @FILE or -; its keys are context_overrides,"),
    ],
)
def test_a_bad_body_is_one_line_and_nothing_is_sent(
    command: Command, server: RecordingServer, tmp_path: Path, words: list[str], line: str
) -> None:
    for name, text in (
        ("bad.json", '{\n "seed": x}'),
        ("bad.yaml", "a: [1\n  b: 2"),
        ("date.yaml", "metadata: {when: 2026-01-01}"),
        ("list.json", "[]"),
    ):
        (tmp_path / name).write_text(text)
    placed = [f"@{tmp_path / word[1:]}" if word.startswith("@") else word for word in words]
    done = command("rollouts", "create", *placed, **at(server))
    assert (done.returncode, done.stdout) == (2, "")
    [lines] = done.stderr.splitlines()
    assert line in lines
    assert server.connections == 0


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, 2), (401, 4), (403, 4), (404, 3), (409, 1), (413, 2), (422, 2), (429, 5), (500, 5)],
)
def test_exit_statuses(command: Command, status: int, code: int) -> None:
    error = {"error": {"code": "some_code", "message": "It is so."}}
    reply = Reply.json(error, status, retry_after="0")
    with RecordingServer(reply) as server:
        done = command("pools", "pause", "p", **at(server))
    assert (done.returncode, done.stdout) == (code, "")
    assert "some_code" in done.stderr.splitlines()[-1]
    assert ExitStatus(code) in EXIT_STATUSES


def test_nobody_answers(command: Command) -> None:
    done = command("pools", "list", "--url", "http://127.0.0.1:9", "--timeout", "1")
    assert done.returncode == ExitStatus.UNREACHABLE
    assert done.stderr.splitlines()[-1].startswith("synth-pools: error: GET /v1/pools")


def test_a_url_that_is_none_is_named_by_where_it_was_given(command: Command) -> None:
    for url in ("nonsense", "http://a b", "ftp://h"):
        done = command("pools", "list", "--url", url)
        assert (done.returncode, done.stderr.count("\n")) == (ExitStatus.USAGE, 1)
        assert done.stderr.startswith("synth-pools: error: --url must")
    done = command("pools", "list", SYNTH_BACKEND_URL="nonsense")
    assert done.stderr.startswith("synth-pools: error: SYNTH_BACKEND_URL must be a URL")


def test_no_key(command: Command) -> None:
    done = command("pools", "list", SYNTH_API_KEY="")
    assert done.returncode == ExitStatus.NOT_ALLOWED
    assert "set SYNTH_API_KEY" in done.stderr


def test_a_key_file_that_others_can_read_is_refused(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("sk_of_a_file")
    path.chmod(0o644)
    done = command("pools", "list", "--api-key-file", path, SYNTH_API_KEY="")
    assert done.returncode == ExitStatus.NOT_ALLOWED
    assert f"chmod 600 {path}" in done.stderr
    assert "sk_of_a_file" not in done.stderr
    path.chmod(0o600)
    with RecordingServer(Reply(200, OWN)) as server:
        url = ("--url", server.url)
        assert command("pools", "list", "--api-key-file", path, *url).returncode == 0
        assert server.last.headers["authorization"] == "Bearer sk_of_a_file"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["rolouts"], "there is no command 'rolouts'; did you mean rollouts?"),
        (["pools", "gett"], "there is no command 'gett'; did you mean get?"),
        (["pools", "list", "--stat", "x"], "--state"),
        (["pools", "list", "-o", "xml"], "'xml' is not one of"),
        (["pools", "get"], "Missing argument 'POOL'"),
        (["rollouts", "list", "--limit", "many"], "'many' is not a valid integer"),
    ],
)
def test_a_wrong_word_is_one_line_that_names_the_nearest(
    command: Command, words: list[str], line: str
) -> None:
    done = command(*words)
    assert (done.returncode, done.stdout) == (2, "")
    [lines] = done.stderr.splitlines()
    assert line in lines


def test_an_unknown_id_names_the_nearest(command: Command) -> None:
    command("pools", "create", "id=suggested-pool", "name=x")
    done = command("pools", "get", "sugested-pool")
    assert (done.returncode, done.stdout) == (3, "")
    [lines] = done.stderr.splitlines()
    assert lines.endswith("; did you mean suggested-pool?")


def test_events_of_a_pool_name_their_rollouts(command: Command, backend: LocalBackend) -> None:
    with backend.client() as client:
        pool = client.create_pool({"name": "x"})["id"]
        created = [client.create_rollout(pool, {"mode": "sync"})["id"] for _ in range(2)]
    lines = command("pools", "events", pool, "--no-follow").stdout.splitlines()
    completed_ids = [line.split()[1] for line in lines if " rollout.completed " in line]
    assert completed_ids == created
    assert "did you mean" in command("pools", "events", f"{pool[:-1]}z").stderr


def test_a_key_that_is_nearly_known_is_sent_and_told(
    command: Command, server: RecordingServer
) -> None:
    words = ["concurency=4", 'tasks:=[{"task_confg": {}}]', "colour=blue", "metadata.nmae=x"]
    done = command("pools", "create", *words, "-o", "json", **at(server))
    assert (done.returncode, done.stdout.encode()) == (0, OWN + b"\n")
    assert done.stderr.splitlines() == [
        "synth-pools: warning: concurency is sent, but not known: is concurrency meant?",
        "synth-pools: warning: tasks[0].task_confg is sent, but not known: is task_config meant?",
    ]
    assert server.last.json["concurency"] == 4


@pytest.mark.parametrize("group", ["pools", "config", "journal"])
def test_a_group_alone_is_its_help(command: Command, group: str) -> None:
    done = command(group)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == command(group, "--help").stdout


def test_a_table_fits_a_terminal(surroundings: dict[str, str]) -> None:
    rollout = {
        "id": "rollout_" + 32 * "0",
        "status": "completed",
        "score": 0.5,
        "request": {"seed": 7},
        "task_id": "addition",
        "created_at": "2026-11-26T18:19:09.546958Z",
    }
    cut = line_on_terminal(surroundings, rollout)
    assert (len(cut), cut[-1]) == (80, "…")
    assert cut.split()[2:5] == ["0.5", "7", "addition"]


def line_on_terminal(surroundings: dict[str, str], rollout: dict[str, Any]) -> str:
    listed = Reply.json({"items": [rollout], "next_cursor": None})
    with (
        RecordingServer(listed) as server,
        on_terminal("rollouts", "list", **surroundings, **at(server)) as terminal,
    ):
        status, observed = terminal.end()
    assert status == 0
    _, line = (re.sub(r"\x1b\[\d*m", "", line) for line in observed.splitlines())
    assert len(line) <= 80
    return line


def test_what_destroys_needs_a_yes(command: Command) -> None:
    command("pools", "create", "id=doomed", "name=x")
    done = command("pools", "rm", "doomed")
    assert (done.returncode, done.stdout) == (2, "")
    assert "give --yes" in done.stderr
    assert command("pools", "get", "doomed", "-o", "json").stdout.count('"active"')
    assert command("pools", "rm", "doomed", "--yes", "-o", "id").stdout == "doomed\n"


def test_a_deletion_whose_answer_was_lost_may_have_been_done(command: Command) -> None:
    answers = [None, Reply.json({"error": {"code": "not_found", "message": "none"}}, 404)]
    with RecordingServer(lambda _: answers.pop(0)) as server:
        done = command("runs", "delete", "r", "--yes", SYNTH_BACKEND_URL=server.url)
    assert done.returncode == ExitStatus.NOT_FOUND
    [line] = done.stderr.splitlines()
    assert line.endswith("; an earlier attempt of this call may have done it; its answer was lost")


def test_a_run_is_deleted_by_its_name(command: Command) -> None:
    command("pools", "create", "id=of-runs", "name=x")
    command("rollouts", "create", "--pool", "of-runs", "run=a/b", "mode=sync")
    assert "a/b" in command("runs", "list", "-o", "id").stdout.splitlines()
    assert command("runs", "delete", "a/b", "--yes", "-o", "id").stdout == "a/b\n"
    assert command("runs", "show", "a/b").returncode == 3


def test_a_terminal_is_asked_and_has_colours(
    backend: LocalBackend, surroundings: dict[str, str], command: Command
) -> None:
    environment = {
        **surroundings,
        "SYNTH_BACKEND_URL": backend.url,
        "SYNTH_API_KEY": backend.api_key,
    }
    command("pools", "create", "id=asked", "name=x")
    with on_terminal("pools", "delete", "asked", **environment) as terminal:
        status, observed = terminal.end("n\n")
    assert (status, "[y/N]" in observed, "nothing was done" in observed) == (1, True, True)
    with on_terminal("pools", "list", **environment) as terminal:
        status, observed = terminal.end()
    assert (status, "\x1b[32mactive" in observed) == (0, True)
    plain = {**environment, "NO_COLOR": "1"}
    with on_terminal("pools", "list", **plain) as terminal:
        status, observed = terminal.end()
    assert (status, "\x1b" in observed) == (0, False)
    with on_terminal("pools", "delete", "asked", **environment) as terminal:
        status, observed = terminal.end("y\n")
    assert (status, "archived" in observed) == (0, True)


def test_a_reader_that_leaves_is_no_failure(
    backend: LocalBackend, surroundings: dict[str, str]
) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", f"{sys.executable} -m synth_pools commands -o json | true; echo"],
        env=surroundings,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""


# Parameters that the echo target of these pools does not have.
UNKNOWN_TO_ECHO = {("containers", "program"), ("containers", "taskset")}


def prepared(row: CommandRow, backend: LocalBackend) -> dict[str, str]:
    """Make what the example of a command names; return the words that differ from its own."""
    expected = {
        name: str(parameter["example"])
        for name, parameter in SPEC["components"]["parameters"].items()
        if parameter["in"] == "path"
    }
    pool_id = f"example-{row.group}-{row.name}"
    with backend.client() as client:
        client.create_pool({"id": pool_id, "name": "example"})
        if (row.group, row.name) != ("tasks", "create"):
            client.create_task(pool_id, {"task_id": expected["TaskId"]})
        running = row.name == "cancel"
        env = {"delay": 600 if running else 0}
        created = client.create_rollout(
            pool_id, {"mode": "async" if running else "sync", "env": env, "run": "tuesday"}
        )
        if (row.group, row.name) == ("pools", "events"):
            # Else there is no end of them.
            client.delete_pool(pool_id)
    ours = {expected["PoolId"]: pool_id, expected["RolloutId"]: created["id"]}
    return {**ours, expected["ArtifactPath"]: "echo.json"}


def test_help_has_the_example_and_80_columns() -> None:
    for row in COMMANDS:
        created = command_of(row)
        context = click.Context(created, info_name=f"synth-pools {row.group} {row.name}")
        lines = created.get_help(context).splitlines()
        [at] = [number for number, line in enumerate(lines, 1) if line == "  Example:"]
        output = "\n".join(lines[at : lines.index("", at)])
        assert shlex.split(output.replace("\\\n", "")) == shlex.split(row.example)
        assert max(map(len, lines)) <= 80, row


@pytest.mark.parametrize("row", COMMANDS, ids=lambda row: f"{row.group} {row.name}".strip())
def test_the_example_of_a_command_runs(
    row: CommandRow,
    backend: LocalBackend,
    command: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    program, *words = shlex.split(row.example)
    assert program == "synth-pools"
    if (row.group, row.name) != ("pools", "create"):
        ours = prepared(row, backend)
        words = [reduce(lambda text, pair: text.replace(*pair), ours.items(), w) for w in words]
    done = command(*words)
    expected = (ExitStatus.DONE, "")
    if row.group == "deployments" or (row.group == "images" and row.name != "list"):
        expected = (ExitStatus.UNREACHABLE, "501 ")
    elif row.name == "trajectory":
        expected = (ExitStatus.NOT_FOUND, "404 artifact_not_found: The rollout has no trajectory.")
    elif (row.group, row.name) in UNKNOWN_TO_ECHO:
        expected = (ExitStatus.NOT_FOUND, "404 not_found: The container does not have")
    status, message = expected
    assert (done.returncode, message in done.stderr) == (status, True), done.stderr
    # Other tests of this backend may have left more than one page.
    more = row.name == "list" and done.stderr.startswith("There is more: ")
    assert message or more or not done.stderr
