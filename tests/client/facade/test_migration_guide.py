"""Claims of the migration guide."""

from __future__ import annotations

import asyncio
import builtins
import json
import re
from pathlib import Path
from textwrap import indent
from typing import Any

import httpx
import pytest

import synth_pools
from tests.support.leaks import KEY
from tests.support.recording import Recorded, RecordingServer, Reply

GUIDE = Path(__file__).parents[3] / "docs/migration.md"
BLOCKS = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)


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
    text = GUIDE.read_text(encoding="utf-8").partition("## Errors")[2]
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
