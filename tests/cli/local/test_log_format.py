"""Log of `serve`: a line for each change of state, in both formats, written in the background."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from synth_pools.backend.domain.state_changes import line_fields
from synth_pools.cli.local import log_format
from synth_pools.cli.local.log_format import JsonLines, StderrLines, TextLines
from tests.cli.local.test_serve import LIMIT, serve
from tests.support.backend_server import Server, eventually

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
MARK = "mark-of-a-body"
KEY = "sk_of_the_log_tests_123"


def json_lines(text: str) -> list[dict[str, Any]]:
    """Parse every line, and check the members that all lines have."""
    lines = [json.loads(line) for line in text.splitlines()]
    for line in lines:
        assert list(line)[:4] == ["time", "level", "logger", "message"], line
        assert TIME.fullmatch(line["time"])
        assert line["level"] in ("DEBUG", "INFO", "WARNING", "ERROR")
    return lines


def run_rollouts(client: httpx.Client) -> dict[str, Any]:
    """A pool with a rollout of every end; the ids, and the requests that are to be blamed."""
    observed: dict[str, Any] = {}

    def send(name: str, method: str, path: str, body: Any = None) -> str:
        response = client.request(method, path, json=body)
        assert response.status_code < 300, response.text
        observed[f"{name} request"] = response.headers["x-request-id"]
        observed[name] = response.json()["id"]
        return str(observed[name])

    pool = send("pool", "POST", "/v1/pools", {"name": MARK, "concurrency": 1, "secret": MARK})
    path = f"/v1/pools/{pool}/rollouts"
    env: dict[str, Any] = {"secret": MARK}
    sync = {"mode": "sync", "env": env, "trace_correlation_id": 'a trace "with" quotes'}
    send("completed", "POST", path, sync)
    send("failed", "POST", path, {"mode": "sync", "env": {**env, "fail": True}})
    running = send("running", "POST", path, {"env": {**env, "delay": 600}})
    send("waiting", "POST", path, {"env": env})
    eventually(lambda: client.get(f"/v1/rollouts/{running}").json()["status"] == "running")
    send("cancelled", "POST", f"/v1/rollouts/{running}/cancel")
    eventually(lambda: client.get(f"/v1/rollouts/{observed['waiting']}").json()["score"] == 1)
    send("archived", "DELETE", f"/v1/pools/{pool}")
    client.post("/v1/pools", content=f'{{"{MARK}"', headers={"content-type": "application/json"})
    client.get(f"/v1/pools/{MARK}", headers={"authorization": f"Bearer {MARK}"})
    return observed


def test_one_json_line_for_each_change(tmp_path: Path) -> None:
    arguments = ("--port", "0", "--data-dir", str(tmp_path / "d"), "--api-key", KEY)
    options = ("--log-format", "json", "--log-level", "debug")
    with serve(tmp_path, *arguments, *options) as serving:
        with serving.client(KEY) as client:
            ids = run_rollouts(client)
        status, errors = serving.end()
    assert status == 0
    assert "The local backend answers at" in serving.printed
    for secret in (KEY, MARK):
        assert secret not in errors
    lines = json_lines(errors)
    assert {line["logger"] for line in lines} == {"synth_pools.backend.states"}
    assert {line["pool_id"] for line in lines} == {ids["pool"]}
    changes = [(line.get("rollout_id"), line["message"], line.get("request_id")) for line in lines]
    assert changes[0] == (None, "pool active", ids["pool request"])
    assert changes[-1] == (None, "pool archived", ids["archived request"])
    for name, end, by in (
        ("completed", "completed", None),
        ("failed", "failed", None),
        ("waiting", "completed", None),
        ("running", "cancelled", ids["cancelled request"]),
    ):
        queued, running, completed_line = (line for line in changes if line[0] == ids[name])
        assert queued == (ids[name], "rollout queued", ids[f"{name} request"])
        # If a place is free, the request that admits a rollout starts it as well.
        starters = {None} if name == "waiting" else {None, ids[f"{name} request"]}
        assert running[:2] == (ids[name], "rollout running")
        assert running[2] in starters
        assert completed_line == (ids[name], f"rollout {end}", by)
    assert len(changes) == 2 + 4 * 3
    by_rollout = {
        (line.get("rollout_id"), line["message"]): line for line in lines if "rollout_id" in line
    }
    failed = by_rollout[ids["failed"], "rollout failed"]
    assert failed["code"] == "container_failed"
    assert (failed["attempt"], failed["run_seconds"] >= 0) == (1, True)
    assert failed["level"] == "INFO"
    started = by_rollout[ids["failed"], "rollout running"]
    assert (started["attempt"], started["level"]) == (1, "DEBUG")
    assert started["queue_seconds"] == failed["queue_seconds"] >= 0
    traces = {line["rollout_id"] for line in lines if "trace_correlation_id" in line}
    assert traces == {ids["completed"]}
    assert by_rollout[ids["completed"], "rollout queued"]["trace_correlation_id"] == (
        'a trace "with" quotes'
    )


def test_the_end_of_each_as_text_which_is_the_default(tmp_path: Path) -> None:
    arguments = ("--port", "0", "--data-dir", str(tmp_path / "d"), "--api-key", KEY)
    with serve(tmp_path, *arguments) as serving:
        with serving.client(KEY) as client:
            ids = run_rollouts(client)
        status, errors = serving.end()
    assert status == 0
    for secret in (KEY, MARK):
        assert secret not in errors
    lines = errors.splitlines()
    assert len(lines) == 2 + 4
    head = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} INFO synth_pools\.backend\.states: "
    assert all(re.match(head, line) for line in lines)
    [completed] = [line for line in lines if ids["completed"] in line]
    tail = completed.partition(": ")[2]
    assert re.search(r" queue_seconds=\d+\.\d+ run_seconds=\d+\.\d+", tail)
    assert tail.partition(" queue_seconds=")[0] == (
        f"rollout completed pool_id={ids['pool']} rollout_id={ids['completed']}"
        ' trace_correlation_id="a trace \\"with\\" quotes" attempt=1'
    )
    [cancelled] = [line for line in lines if "rollout cancelled" in line]
    assert cancelled.endswith(f" request_id={ids['cancelled request']}")
    [failed] = [line for line in lines if "rollout failed" in line]
    assert re.search(
        r" attempt=1 code=container_failed queue_seconds=\d+\.\d+ run_seconds=\d+\.\d+", failed
    )


@pytest.mark.parametrize("level", ["warning", "error"])
def test_a_higher_level_leaves_them_out(tmp_path: Path, level: str) -> None:
    arguments = ("--port", "0", "--data-dir", str(tmp_path / "d"), "--api-key", KEY)
    with serve(tmp_path, *arguments, "--log-level", level) as serving:
        with serving.client(KEY) as client:
            run_rollouts(client)
        assert serving.end() == (0, "")


def test_a_restart_tells_what_became_of_what_ran(tmp_path: Path) -> None:
    arguments = ("--port", "0", "--data-dir", str(tmp_path / "d"), "--api-key", KEY)
    with serve(tmp_path, *arguments) as serving, serving.client(KEY) as client:
        pool = client.post("/v1/pools", json={"name": "p"}).json()["id"]
        path = f"/v1/pools/{pool}/rollouts"
        lost = client.post(path, json={"env": {"delay": 600}}).json()["id"]
        eventually(lambda: client.get(f"/v1/rollouts/{lost}").json()["status"] == "running")
        serving.process.kill()
    with serve(tmp_path, *arguments, "--log-format", "json") as serving:
        with serving.client(KEY) as client:
            eventually(lambda: client.get(f"/v1/rollouts/{lost}").json()["status"] == "failed")
        [line] = json_lines(serving.end()[1])
    assert line["message"] == "rollout failed"
    assert line["code"] == "backend_restarted"


def test_whoever_does_not_read_the_log_stops_nothing(tmp_path: Path) -> None:
    arguments = ("--port", "0", "--data-dir", str(tmp_path / "d"), "--api-key", KEY)
    options = ("--log-format", "json", "--log-level", "debug")
    with serve(tmp_path, *arguments, *options) as serving:
        with serving.client(KEY) as client:
            body = {"name": "p", "concurrency": 100}
            pool = client.post("/v1/pools", json=body).json()["id"]

            def run(_: int) -> None:
                response = client.post(f"/v1/pools/{pool}/rollouts", json={"mode": "sync"})
                assert response.json()["status"] == "completed"

            # Far more than a pipe holds.
            with ThreadPoolExecutor(8) as threads:
                list(threads.map(run, range(400)))
        status, errors = serving.end()
    assert status == 0
    # Nothing was dropped: the queue was written when the reader returned.
    assert len(json_lines(errors)) == 1 + 3 * 400


PROGRAM = """
import logging, sys, warnings
from synth_pools.cli.local import log_format
log_format.configure(sys.argv[1], "info")
logging.getLogger("uvicorn.error").info("not ours: too much")
logging.getLogger("uvicorn.error").warning("of uvicorn, %s", "line one\\nline two")
logging.getLogger("httpx").info("not ours: too much")
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("uvicorn.error").exception("it failed")
    logging.getLogger("synth_pools.backend.api.dispatcher").exception("ours failed")
warnings.warn("what Python warns of")
logging.getLogger("synth_pools.x").info("ours")
logging.getLogger("synth_pools.x").debug("too much")
logging.getLogger("synth_pools.x").info("\\ud800", extra={"fields": {"id": "\\udfff", "n": 1}})
"""


def logged(format_: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, format_],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=True,
    )
    assert done.stdout == ""
    return done.stderr


def test_what_libraries_log_has_the_same_form() -> None:
    lines = json_lines(logged("json"))
    assert [(line["logger"], line["level"]) for line in lines] == [
        ("uvicorn.error", "WARNING"),
        ("uvicorn.error", "ERROR"),
        ("synth_pools.backend.api.dispatcher", "ERROR"),
        ("py.warnings", "WARNING"),
        ("synth_pools.x", "INFO"),
        ("synth_pools.x", "INFO"),
    ]
    assert lines[0]["message"] == "of uvicorn, line one\nline two"
    for failed in lines[1:3]:
        assert failed["exception"].endswith("ZeroDivisionError: division by zero")
    assert lines[-1]["n"] == 1


def test_and_as_text_it_is_what_it_was() -> None:
    text = logged("text")
    assert " WARNING uvicorn.error: of uvicorn, line one\nline two\n" in text
    assert " ERROR uvicorn.error: it failed\nTraceback (most recent call last):\n" in text
    assert text.rstrip().endswith(" n=1")
    assert "too much" not in text


def test_a_failure_names_the_request_that_it_befell(
    start: Callable[..., Server], failures: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = start()
    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(JsonLines().format(record))

    handler = Keep(logging.ERROR)
    logging.getLogger("synth_pools.backend").addHandler(handler)
    try:
        monkeypatch.setattr(
            "synth_pools.backend.api.handlers.pools.pool_definition", lambda _: 1 / 0
        )
        answer = backend.refused("POST", "/v1/pools", 500, "internal_error", json={"name": "n"})
    finally:
        logging.getLogger("synth_pools.backend").removeHandler(handler)
    failures.clear()
    [line] = json_lines("\n".join(lines))
    assert line["request_id"] == answer["error"]["request_id"]


def record(text: str) -> logging.LogRecord:
    extra = line_fields({"id": uuid.UUID(int=0), "none": None})
    created = logging.LogRecord("n", logging.INFO, __file__, 0, text, (), None)
    created.__dict__.update(extra)
    return created


def test_a_program_around_it_gets_them_as_records(
    start: Callable[..., Server], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "synth_pools.backend.states")
    backend = start()
    pool = backend.pool()
    backend.run(pool, trace_correlation_id="t")
    backend.call("DELETE", f"/v1/pools/{pool}")
    # Backends of other tests write into the same log.
    records = [
        record
        for record in caplog.records
        if record.name == "synth_pools.backend.states"
        and record.__dict__["fields"].get("pool_id") == pool
    ]
    assert [record.getMessage() for record in records] == [
        "pool active",
        "rollout queued",
        "rollout running",
        "rollout completed",
        "pool archived",
    ]
    fields = [record.__dict__["fields"] for record in records]
    assert {field.get("trace_correlation_id") for field in fields[1:4]} == {"t"}


def test_a_pool_that_fails_says_why(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", "raise SystemExit('gone at once')", "{port}"]
    config = {"process": {"argv": argv, "start_timeout_seconds": 0.5}}
    arguments = ("--port", "0", "--data-dir", str(tmp_path / "d"), "--api-key", KEY)
    options = ("--allow-processes", "--log-format", "json")
    with serve(tmp_path, *arguments, *options) as serving, serving.client(KEY) as client:
        body = {"pool_id": "p", "name": "p", "config": config}
        assert client.post("/v1/pools", json=body).status_code == 201
        eventually(lambda: client.get("/v1/pools/p").json()["status"] == "failed")
        lines = json_lines(serving.end()[1])
    changes = [line for line in lines if line["logger"] == "synth_pools.backend.states"]
    assert [(line["message"], line.get("code")) for line in changes] == [
        ("pool warming", None),
        ("pool failed", "process_not_healthy"),
    ]
    assert "request_id" in changes[0]
    assert "request_id" not in changes[1]


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the reader of a busy machine take long to read what is written at the end."""
    monkeypatch.setattr(log_format, "_CLOSE_SECONDS", 60.0)


@pytest.mark.usefixtures("patience")
def test_what_does_not_fit_is_left_out_and_told_of() -> None:
    reader, writer = os.pipe()
    handler = StderrLines(writer, most_lines=5)
    handler.setFormatter(JsonLines())
    start = time.monotonic()
    # More than a pipe holds: now the log is stuck.
    long = "x" * 100_000
    handler.handle(record(long))
    eventually(lambda: not handler._lines)
    for number in range(20):
        handler.handle(record(str(number)))
    assert time.monotonic() - start < 60
    text: list[bytes] = []
    reading = threading.Thread(target=lambda: text.extend(_all_of(reader)))
    reading.start()
    eventually(lambda: not handler._lines)
    handler.handle(record("last"))
    handler.close()
    os.close(writer)
    reading.join(60)
    lines = json_lines(b"".join(text).decode())
    assert [line["message"] for line in lines] == [
        long,
        *map(str, range(5)),
        "15 lines were left out here: the log was not read fast enough",
        "last",
    ]
    assert lines[0]["id"] == str(uuid.UUID(int=0))
    assert "none" not in lines[0]


def _all_of(reader: int) -> Iterator[bytes]:
    while chunk := os.read(reader, 65536):
        yield chunk
    os.close(reader)


def test_a_reader_that_is_gone_stops_nothing() -> None:
    reader, writer = os.pipe()
    handler = StderrLines(writer)
    handler.setFormatter(TextLines())
    os.close(reader)
    for _ in range(3):
        handler.handle(record("nobody reads it"))
        eventually(lambda: not handler._lines)
    handler.close()
    assert not handler._thread.is_alive()
    os.close(writer)


def test_a_reader_that_does_not_read_does_not_hold_up_the_end() -> None:
    reader, writer = os.pipe()
    handler = StderrLines(writer)
    handler.setFormatter(TextLines())
    handler.handle(record("x" * 100_000))
    start = time.monotonic()
    handler.close()
    assert 1 < time.monotonic() - start < 60
    os.close(reader)
    handler._thread.join(60)
    assert not handler._thread.is_alive()
    os.close(writer)


@pytest.mark.usefixtures("patience")
def test_a_file_that_does_not_block_is_written_to_the_end() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    handler = StderrLines(writer)
    handler.setFormatter(TextLines())
    handler.handle(record("x" * 300_000))
    text: list[bytes] = []
    reading = threading.Thread(target=lambda: text.extend(_all_of(reader)))
    reading.start()
    handler.close()
    os.close(writer)
    reading.join(60)
    assert b"".join(text).count(b"x") == 300_000


def test_of_texts_only_those_are_quoted_that_could_be_taken_for_more() -> None:
    values = ("completed", "/v1/pools", 1.5, 7, "two words", 'a"b', "a=b\n")
    texts = [log_format._text(value) for value in values]
    assert texts[:4] == ["completed", "/v1/pools", "1.5", "7"]
    assert [json.loads(text) for text in texts[4:]] == [*values[4:]]
