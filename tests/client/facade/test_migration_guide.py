"""Claims of the migration guide."""

from __future__ import annotations

import ast
import asyncio
import builtins
import json
import operator
import os
import re
import shlex
import threading
from pathlib import Path
from textwrap import indent
from typing import Any

import httpx
import pytest

import synth_pools
from synth_pools.local import LocalBackend
from tests.support import published
from tests.support.commands import run_command
from tests.support.leaks import KEY
from tests.support.published import ANCESTORS
from tests.support.recording import Recorded, RecordingServer, Reply

TEXT = (Path(__file__).parents[3] / "docs/migration.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def answer(request: Recorded) -> Reply:
    if request.path.endswith("/events"):
        last = b'data: {"event": "rollout.completed"}\n\n'
        return Reply.events(b'data: {"event": "reward"}\n\n', last)
    return Reply.json({"pool_id": "pool_1", "rollout_id": "rollout_1"}, 201)


def test_its_examples_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, third = BLOCKS
    # The last block continues inside the `async with` of the second.
    program = f"async def main():\n{indent(second, ' ' * 4)}{indent(third, ' ' * 8)}"
    names: dict[str, Any] = {}
    with RecordingServer(answer) as server:
        monkeypatch.setenv("SYNTH_BACKEND_URL", server.url)
        exec(first, {})
        exec(program, names)
        asyncio.run(names["main"]())
        paths = [f"{request.method} {request.path}" for request in server.requests]
    assert paths == [
        "POST /v1/pools",
        "POST /v1/pools/pool_1/rollouts",
        "GET /v1/pools/pool_1/rollouts/rollout_1/events",
        "POST /v1/pools/pool_1/rollouts",
        "GET /v1/pools/pool_1/rollouts/rollout_1/events",
        "GET /v1/pools/pool_1/rollouts/rollout_1/events",
    ]
    assert capsys.readouterr().out.count("{'event': 'reward'}") == 2


def test_its_table_of_errors_is_true() -> None:
    text = TEXT.partition("## Errors")[2].partition("\n## ")[0]
    names = set()
    for row in re.findall(r"^\| [^|]+ \| ([^|]+) \| ([^|]+) \|$", text, re.MULTILINE):
        kinds, bases = (re.findall(r"`([\w.]+)`", cell) for cell in row)
        for kind in kinds:
            names.add(kind)
            for base in bases:
                library, _, name = base.rpartition(".")
                where = {"httpx": httpx, "json": json}.get(library, synth_pools)
                expected = getattr(where, name, None) or getattr(builtins, name)
                assert issubclass(getattr(synth_pools, kind), expected), (kind, base)
    public = {name for name in synth_pools.__all__ if name.endswith("Error")}
    assert public - names == {"SynthPoolsError", "DecodeError"}


def test_the_key_has_no_attribute() -> None:
    for client in (
        synth_pools.SynthClient(api_key=KEY),
        synth_pools.ContainerPoolsClient(api_key=KEY),
    ):
        assert not hasattr(client, "api_key")


@pytest.mark.parametrize("release", ANCESTORS)
def test_each_public_name_of_the_published_module_is_here(release: str) -> None:
    module = ast.parse((published.PACKAGES / release / "synth_ai/sdk/pools.py").read_text("utf-8"))
    (names,) = [
        ast.literal_eval(node.value)
        for node in module.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    ]
    assert "ContainerPoolsClient" in names
    assert set(names) <= set(synth_pools.__all__)


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        (lambda client: client.create_pool({"a": {"b": {1}}}), "request.a.b"),
        (lambda client: client.create_pool({"a": float("nan")}), "request.a"),
        (lambda client: client.create_pool([("a", 1)]), "request"),
        (lambda client: client.get_pool(7), "pool_id"),
        (lambda client: client.get_pool(".."), "pool_id"),
        (lambda client: client.list_pools(limit="10"), "limit"),
    ],
)
def test_arguments_are_refused_by_a_value_error_that_names_the_place(
    wrong: Any, place: str
) -> None:
    with (
        synth_pools.ContainerPoolsClient(api_key=KEY, base_url="http://127.0.0.1:1") as client,
        pytest.raises(ValueError, match=f"^{re.escape(place)} "),
    ):
        wrong(client)


def test_the_log_of_httpx_is_replaced_by_ours(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    with (
        RecordingServer() as server,
        synth_pools.ContainerPoolsClient(api_key=KEY, base_url=server.url) as client,
    ):
        client.get_pool("p")
    # Servers of other tests log, too.
    thread_id = threading.get_ident()
    (record,) = (record for record in caplog.records if record.thread == thread_id)
    assert (record.name, record.levelname) == ("synth_pools", "DEBUG")


def test_what_takes_the_place_of_overridden_members_is_true() -> None:
    sent: list[synth_pools.RequestInfo] = []
    with (
        RecordingServer() as server,
        synth_pools.ContainerPoolsClient(
            api_key=KEY, base_url=server.url, on_request=sent.append
        ) as client,
    ):
        client.with_options(headers={"X-Team": "a"}).rollouts.get("p", "r")
        assert server.last.headers["x-team"] == "a"
        assert sent[0].path == "/v1/pools/p/rollouts/r"
        assert json.loads(client.operations.call("get_pool", {"pool_id": "p"})) == {}
        assert server.last.target == "/v1/pools/p"
        with httpx.Client(headers={"X-Own": "b"}) as http:
            synth_pools.ContainerPoolsClient(
                api_key=KEY, base_url=server.url, http_client=http
            ).get_pool("p")
        assert server.last.headers["x-own"] == "b"
    members = re.search(r"\*\*(`_request`.+)\*\*, which nothing", TEXT)
    assert members is not None
    for name in re.findall(r"`(\w+)`", members[1]):
        with pytest.raises(synth_pools.ConfigurationError):
            type("Mine", (synth_pools.ContainerPoolsClient,), {name: None})
        with pytest.raises(synth_pools.ConfigurationError):
            setattr(client, name, None)


@pytest.mark.system
def test_its_commands_do_the_same(tmp_path: Path) -> None:
    rows = re.findall(r"^\| `synth-ai pools (.+)` \| `synth-pools (.+)` \|$", TEXT, re.MULTILINE)
    (tmp_path / "pool.json").write_text('{"id": "mine"}', encoding="utf-8")
    (tmp_path / "rollout.json").write_text('{"seed": 1, "mode": "sync"}', encoding="utf-8")
    old, new = ([shlex.split(row[side].replace("POOL", "mine")) for row in rows] for side in (0, 1))
    with LocalBackend() as backend:
        expected = published.run_commands(old, environment=settings_of(backend), folder=tmp_path)
    actual, rollout_id = [], ""
    with LocalBackend() as backend:
        environment = {**os.environ, "HOME": str(tmp_path), **settings_of(backend)}
        for words in new:
            words = [rollout_id if word == "ROLLOUT" else word for word in words]
            done = run_command(*words, environment=environment, folder=tmp_path)
            assert done.returncode == 0, done.stderr
            actual.append(json.loads(done.stdout))
            rollout_id = actual[-1].get("rollout_id", rollout_id)
    assert len(rows) == 9
    for row, expected_answer, answer in zip(rows, expected, actual, strict=True):
        for second_name in ("artifacts", "pools") if "items" in expected_answer else ():
            expected_answer.pop(second_name, None)
        assert without_chance(answer) == without_chance(expected_answer), row


ASYNC = """
import asyncio, json, sys
from synth_ai.sdk.pools import AsyncContainerPoolsClient, ContainerPoolsClient

async def main():
    client = AsyncContainerPoolsClient(ContainerPoolsClient(base_url=json.load(sys.stdin)))
    rollout = client.rollouts.create("pool_1", {})
    events = [event["event"] for event in await client.stream_rollout_events("pool_1", "r")]
    await client.close()
    print(json.dumps([rollout["rollout_id"], events]))

asyncio.run(main())
"""


def test_the_async_client_was_as_the_guide_says() -> None:
    with RecordingServer(answer) as server:
        result = published.run_python(
            ["-c", ASYNC], server.url, {"SYNTH_API_KEY": KEY}, ANCESTORS[0]
        )
    assert result == ["rollout_1", ["reward", "rollout.completed"]]
    for name in ("rollouts.create", "stream_rollout_events", "aclose"):
        assert name in TEXT
        assert operator.attrgetter(name)(synth_pools.AsyncContainerPoolsClient(api_key=KEY))


def settings_of(backend: LocalBackend) -> dict[str, str]:
    return {"SYNTH_BACKEND_URL": backend.url, "SYNTH_API_KEY": backend.api_key}


def without_chance(answer: Any) -> str:
    """Return an answer without ids, hashes, times and ports."""
    pattern = r"127[.:0-9]+|(rollout|artifact)_[0-9a-f]+|[0-9a-f]{64}|[0-9T:.-]+Z|[0-9]+\.[0-9]+"
    return re.sub(pattern, "", json.dumps(answer, sort_keys=True))
