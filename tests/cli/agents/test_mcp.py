"""`synth-pools mcp`, called by the client of the official package."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from synth_pools.cli.agents.answers import PART, Answers
from synth_pools.cli.agents.mcp import ProtocolStreams
from synth_pools.cli.agents.tools import offered_tools
from synth_pools.local import LocalBackend
from synth_pools.spec import load_spec
from tests.cli.conftest import Command

_SECONDS = 60.0
_REQUEST = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}


@asynccontextmanager
async def agent(environment: Mapping[str, str], *arguments: str) -> AsyncIterator[Any]:
    """Start the command as a coding agent does, and yield the client of the package."""
    # Imported here: it takes a second of each worker.
    from mcp import Client, StdioServerParameters, stdio_client

    words = ["-m", "synth_pools", "mcp", *arguments]
    parameters = StdioServerParameters(command=sys.executable, args=words, env=dict(environment))
    async with Client(stdio_client(parameters)) as client:
        yield client


def service(url: str, key: str, surroundings: Mapping[str, str]) -> dict[str, str]:
    return {**surroundings, "SYNTH_BACKEND_URL": url, "SYNTH_API_KEY": key}


def methods() -> dict[str, str]:
    """The methods of all operations of the document."""
    return {
        node["operationId"]: method
        for item in load_spec()["paths"].values()
        for method, node in item.items()
        if isinstance(node, dict) and "operationId" in node
    }


async def test_an_agent_runs_rollouts_and_reads_all_of_long_answers(
    backend: LocalBackend, surroundings: dict[str, str]
) -> None:
    async with agent(service(backend.url, backend.api_key, surroundings)) as client:

        async def answer(tool: str, **arguments: object) -> tuple[bool, list[str]]:
            result = await client.call_tool(tool, arguments)
            return result.is_error, [part.text for part in result.content]

        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert {"create_pool", "list_rollouts", "get_rollout", "read_on"} <= set(tools)
        assert tools["list_rollouts"].description.startswith("List rollouts.")
        assert {
            name: tool.annotations.read_only_hint
            for name, tool in tools.items()
            if name in methods()
        } == {
            # A query is a POST that reads.
            name: methods()[name] == "get" or name == "run_query"
            for name in tools
            if name in methods()
        }
        assert set(tools) - set(methods()) == {"compare_runs", "read_on"}
        assert tools["delete_pool"].annotations.destructive_hint is True
        schema = tools["get_pool"].input_schema
        assert schema["properties"]["pool_id"]["description"] == "The id of a pool."

        _, [text] = await answer("create_pool", body={"id": "of-an-agent"})
        assert json.loads(text)["status"] == "active"
        # A key that is nearly a known one is sent, and the agent hears of it.
        misspelt = {"concurency": 4}
        _, [text, warning] = await answer("update_pool", pool_id="of-an-agent", body=misspelt)
        assert json.loads(text)["id"] == "of-an-agent"
        assert warning.endswith("concurency is sent, but not known: is concurrency meant?")
        padding = "é" * PART
        body = {"mode": "sync", "seed": 7, "metadata": {"padding": padding}}
        _, [part, place] = await answer("create_rollout", pool_id="of-an-agent", body=body)
        text, offset = part, PART
        while place.endswith(").") and "Read on" in place:
            answer_id = place.partition('answer_id="')[2].partition('"')[0]
            is_error, [part, place] = await answer("read_on", answer_id=answer_id, offset=offset)
            assert not is_error
            text, offset = text + part, offset + len(part)
        rollout = json.loads(text)
        assert (rollout["status"], rollout["request"]["metadata"]) == (
            "completed",
            {"padding": padding},
        )

        _, [text] = await answer("stream_rollout_events", rollout_id=rollout["id"], limit=1)
        page = json.loads(text)
        assert [event["sequence"] for event in page["events"]] == [1]
        _, [text] = await answer(
            "stream_rollout_events", rollout_id=rollout["id"], after_sequence=page["next_sequence"]
        )
        assert json.loads(text)["events"][0]["sequence"] == 2
        _, parts = await answer(
            "get_global_rollout_artifact", rollout_id=rollout["id"], artifact_path="echo.json"
        )
        assert parts[0].startswith('{"seed":7,')

        is_error, [text] = await answer("get_pool", pool_id="unknown")
        error = json.loads(text)
        assert is_error
        assert (error["status"], error["code"]) == (404, "pool_not_found")
        assert error["request_id"] == error["body"]["error"]["request_id"]
        for tool, arguments, expected in (
            ("get_pool", {}, "these ids are needed: pool_id"),
            ("list_pools", {"stat": "active"}, "no parameter is called stat"),
            ("create_rollout", {"body": {"sed": 1}}, "sed: no such key; did you mean seed?"),
            ("create_rollout", {}, "body is missing"),
            ("read_on", {"answer_id": "answer_99", "offset": 0}, "repeat the call"),
            ("drop_pool", {}, "there is no tool 'drop_pool'"),
        ):
            is_error, [text] = await answer(tool, **arguments)
            assert is_error, tool
            assert expected in json.loads(text)["error"]


async def test_an_agent_compares_runs_as_the_command_does(
    backend: LocalBackend, command: Command, surroundings: dict[str, str]
) -> None:
    names = ("agent-before", "agent/after", "agent-other")
    with backend.client() as of_service:
        body = {"name": "compared", "tasks": [{"task_id": "easy"}, {"task_id": "hard"}]}
        pool = str(of_service.create_pool(body)["id"])
        for name, bonus, task in zip(names, (0.0, 0.5, 0.0), ("easy", "easy", "hard"), strict=True):
            requests = [
                {"task_id": task, "seed": seed, "env": {"reward": seed / 400 + bonus}}
                for seed in range(100)
            ]
            list(of_service.rollouts.run_many(pool, requests, run=name))
        open_id = of_service.rollouts.create(
            pool, {"task_id": "easy", "run": names[1], "seed": 100, "env": {"delay": 60}}
        )["id"]
    async with agent(service(backend.url, backend.api_key, surroundings), "--read-only") as client:

        async def answer(**arguments: object) -> tuple[bool, list[str]]:
            result = await client.call_tool("compare_runs", arguments)
            return result.is_error, [part.text for part in result.content]

        left_out = "agent/after: 1 have not ended and are left out"
        is_error, [text, warning] = await answer(runs=names[:2])
        done = command("compare", *names[:2], "-o", "markdown")
        assert (is_error, text, warning) == (False, done.stdout, left_out)
        assert "agent/after against agent-before: +0.5 " in text
        others = {"failures": "leave-out", "threshold": 0.5, "other_tasks": True}
        _, [part, place, warning] = await answer(runs=names[:2], output="json", **others)
        text = part
        while "Read on" in place:
            answer_id = place.partition('answer_id="')[2].partition('"')[0]
            words = {"answer_id": answer_id, "offset": len(text)}
            result = await client.call_tool("read_on", words)
            part, place = (item.text for item in result.content)
            text += part
        options = ("--failures", "leave-out", "--success", "0.5", "--other-tasks", "-o", "json")
        assert text == command("compare", *names[:2], *options).stdout
        assert warning == left_out
        refused = command("compare", names[0], names[2]).stderr
        is_error, [text] = await answer(runs=[names[0], names[2]])
        assert is_error
        assert json.loads(text)["error"] in refused
        is_error, [text] = await answer(runs=[names[0], "agent-nowhere"])
        assert (is_error, json.loads(text)["status"]) == (True, 404)
        wrong: list[tuple[dict[str, object], str]] = [
            ({}, "compare_runs: runs is missing"),
            ({"runs": names[:1]}, "must have at least 2 items, not 1"),
            ({"runs": names[:2], "failures": "none"}, 'one of "zero", "leave-out"'),
            ({"runs": names[:2], "names": ["a", "b"]}, "compare_runs.names: no such key"),
        ]
        for arguments, expected in wrong:
            is_error, [text] = await answer(**arguments)
            assert is_error, arguments
            assert expected in json.loads(text)["error"]
    with backend.client() as of_service:
        of_service.agent_rollouts.cancel(open_id)


def test_all_operations_but_archives_are_offered_where_features_and_scopes_allow() -> None:
    features = {
        node["x-feature"]
        for item in load_spec()["paths"].values()
        for node in item.values()
        if isinstance(node, dict) and "x-feature" in node
    }
    everything = {"features": dict.fromkeys(features | {"event_pages"}, True)}
    served = {name for tool in offered_tools(everything) for name, _ in tool.operations}
    texts = {tool.name: str(tool.listed["description"]) for tool in offered_tools(everything)}
    mentioned = {word for text in texts.values() for word in re.findall(r"`(\w+)`", text)}
    assert mentioned & served
    assert mentioned & set(methods()) <= set(texts)
    assert set(methods()) - served == {
        "get_global_rollout_artifacts_zip",
        "get_global_rollout_support_bundle",
    }
    names = {tool.name for tool in offered_tools({"features": {}})}
    assert "list_pools" in names
    assert not names & {"pause_pool", "stream_pool_events", "stream_rollout_events"}
    for scopes in (["read"], ["read", "run"]):
        tools = list(offered_tools({**everything, "scopes": scopes}))
        assert {"create_pool", "get_pool_logs"} & {tool.name for tool in tools} == set()
        assert all(tool.is_read_only for tool in tools) == (scopes == ["read"])


def test_the_oldest_long_answers_are_forgotten() -> None:
    answers = Answers("key")
    for number in range(33):
        answers.first_part(str(number % 10) * (PART + 1))
    with pytest.raises(ValueError, match="repeat the call"):
        answers.part("answer_1", 0)
    text, place = answers.part("answer_33", PART)
    assert (text, place) == ("2", f"These are the characters {PART} to {PART + 1} of {PART + 1}.")
    for offset in (-1, PART + 1, True, "0", None):
        with pytest.raises(ValueError, match="from 0 to"):
            answers.part("answer_33", offset)


async def test_halves_of_surrogate_pairs_reach_the_package_as_characters() -> None:
    values = {"\\ud800": ["\ud83d", "\udfff!\n", "\U0001f600", "é"]}
    source, target = os.pipe()
    os.write(target, json.dumps(values).encode() + b'\n{"\\ud800": no JSON\n')
    os.close(target)
    first, second = [line async for line in ProtocolStreams(source, 1)]
    os.close(source)
    assert json.loads(first) == {"\\ud800": ["?", "?!\n", "\U0001f600", "é"]}
    assert second == '{"\\ud800": no JSON'


@pytest.mark.system
async def test_a_rollout_that_outlasts_a_call_goes_on_and_the_error_says_so(
    backend: LocalBackend, surroundings: dict[str, str]
) -> None:
    environment = service(backend.url, backend.api_key, surroundings)
    with backend.client() as of_service:
        pool = of_service.create_pool({"name": "slow"})["id"]
        async with agent(environment, "--timeout", "2") as client:
            body = {"mode": "sync", "env": {"delay": 60}}
            result = await client.call_tool("create_rollout", {"pool_id": pool, "body": body})
            error = json.loads(result.content[0].text)
            assert result.is_error
            assert "within the 2 s of a call" in error["error"]
            assert "list_rollouts" in error["hint"]
            result = await client.call_tool("list_rollouts", {"pool_id": pool})
            [rollout] = json.loads(result.content[0].text)["items"]
            assert rollout["status"] in ("queued", "running")
        of_service.agent_rollouts.cancel(rollout["id"])


@pytest.mark.system
async def test_a_key_has_the_tools_of_its_scope(
    tmp_path: Path, surroundings: dict[str, str]
) -> None:
    path = tmp_path / "keys"
    path.write_text("ann: sk_key_of_ann_1\nbob: sk_key_of_bob_1 scopes=read\n")
    path.chmod(0o600)
    with LocalBackend(tmp_path / "data", api_keys_file=path) as backend:
        names: list[set[str]] = []
        for key, arguments in (("sk_key_of_bob_1", ()), ("sk_key_of_ann_1", ("--read-only",))):
            environment = service(backend.url, key, surroundings)
            async with agent(environment, *arguments) as client:
                tools = (await client.list_tools()).tools
                assert all(tool.annotations.read_only_hint for tool in tools)
                names.append({tool.name for tool in tools})
                result = await client.call_tool("create_pool", {"body": {}})
                assert result.is_error
        # The logs of processes need more than reading.
        assert names[1] - names[0] == {"get_pool_logs"}
        assert names[0] < names[1]
        assert "compare_runs" in names[0]


@pytest.mark.system
@pytest.mark.parametrize("end", ["input", "interrupt", "file"])
def test_it_ends_with_its_input_or_by_an_interrupt_and_writes_the_protocol_alone(
    end: str, backend: LocalBackend, surroundings: dict[str, str], tmp_path: Path
) -> None:
    environment = service(backend.url, backend.api_key, surroundings)
    lines = "no JSON\n" + json.dumps(_REQUEST) + "\n"
    words = [sys.executable, "-m", "synth_pools", "mcp"]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    if end == "file":
        (tmp_path / "input").write_text(lines)
        with (tmp_path / "input").open() as file:
            done = subprocess.run(
                words, stdin=file, env=environment, timeout=_SECONDS, text=True, check=True, **pipes
            )
        out, err = done.stdout, done.stderr
    else:
        process = subprocess.Popen(
            words, stdin=subprocess.PIPE, env=environment, text=True, **pipes
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(lines)
            process.stdin.flush()
            first = process.stdout.readline()
            if end == "interrupt":
                process.send_signal(signal.SIGINT)
                process.wait(_SECONDS)
            out, err = process.communicate(timeout=_SECONDS)
        finally:
            process.kill()
        out = first + out
        assert process.returncode == (130 if end == "interrupt" else 0)
    assert all(json.loads(line)["jsonrpc"] == "2.0" for line in out.splitlines())
    assert end == "file" or '"serverInfo"' in out
    assert "Traceback" not in err
    assert backend.api_key not in out + err


@pytest.mark.system
def test_a_key_that_is_refused_ends_it_before_the_protocol(command: Command) -> None:
    done = command("mcp", SYNTH_API_KEY="sk_of_nobody_at_all")
    assert (done.returncode, done.stdout) == (4, "")
    [line] = done.stderr.splitlines()
    assert "401" in line
    assert "sk_of_nobody_at_all" not in line


class _Repeating(BaseHTTPRequestHandler):
    """A service that repeats the key of a request in its answers."""

    def do_GET(self) -> None:
        value: dict[str, object] = {
            "targets": [],
            "features": {},
            "version": "1",
            "key": self.headers["authorization"],
        }
        content = json.dumps(value).encode()
        self.send_response(500 if "pools" in self.path else 200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


def test_no_cut_shows_a_key() -> None:
    answers = Answers("sk_cut")
    [first, _] = answers.first_part("." * (PART - 3) + "sk_cut" + "." * 9)
    assert "sk_" not in first + answers.part("answer_1", PART)[0]


@pytest.mark.system
async def test_a_key_in_an_answer_is_not_shown(surroundings: dict[str, str]) -> None:
    server = HTTPServer(("127.0.0.1", 0), _Repeating)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        environment = service(url, "sk_that_is_repeated", surroundings)
        async with agent(environment) as client:
            # It has no runs.
            assert "compare_runs" not in {tool.name for tool in (await client.list_tools()).tools}
            result = await client.call_tool("compare_runs", {"runs": ["a", "b"]})
            assert "there is no tool 'compare_runs'" in result.content[0].text
            for tool, arguments in (("get_queue_status", {}), ("get_pool", {"pool_id": "p"})):
                result = await client.call_tool(tool, arguments)
                text = "".join(part.text for part in result.content)
                assert "Bearer" in text
                assert "sk_that_is_repeated" not in text
    finally:
        server.shutdown()
        thread.join(_SECONDS)
        server.server_close()
