"""Examples in the help of commands that are written by hand, run unchanged."""

from __future__ import annotations

import contextlib
import re
import shlex
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import click
import httpx
import pytest

from synth_pools.cli.listing import iter_commands
from synth_pools.cli.main import root
from synth_pools.local import LocalBackend
from synth_pools.spec import spec_path
from tests.cli.conftest import Command
from tests.support.commands import started
from tests.support.containers import real_container

LIMIT = 160.0
CONTAINER = "http://127.0.0.1:9000"
POOL = "docs-example-pool"
ROLLOUT = "rollout_0f8b7c1e5d2a4b6c9e3f1a2b3c4d5e6f"
LINES = {
    row["command"]: re.findall(
        r"^  (synth-pools .*)$", re.split(r"Examples?:\n", row["help"])[-1], re.MULTILINE
    )
    for row in iter_commands(click.Context(root, info_name="synth-pools", **root.context_settings))
    # Examples of operations are run beside their table.
    if not row["operations"]
}
# They go on until they are interrupted.
LASTING = {"serve", "ui", "contract-proxy", "relay"}
# They need a framework: tests/environments runs them where it is installed.
OF_FRAMEWORKS = {"env install", "env run", "env serve", "env show"}
ENDING = [
    (name, line)
    for name, lines in LINES.items()
    for line in lines
    if name not in LASTING | OF_FRAMEWORKS
]


def journals(command: Command, folder: Path) -> None:
    for seed, name in enumerate(("run", "other")):
        seeds = ("--seeds", f"{seed}..{seed + 1}")
        assert command("run", POOL, *seeds, "--journal", folder / f"{name}.jsonl").returncode == 0


def comparable_runs(command: Command, folder: Path) -> None:
    for name in ("monday", "tuesday", "main", "branch"):
        out = folder / f"{name}.jsonl"
        words = ("run", POOL, "--seeds", "0..1", "--name", name, "--out", out)
        assert command(*words).returncode == 0


def traffic(command: Command, folder: Path) -> None:
    # One of its own: such a file has no more than the beginning of a long list of pools.
    with LocalBackend(folder / "judged") as backend:
        words = ("contract-test", backend.url, "--only", "errors.method", "--har")
        done = command(*words, folder / "traffic.har", SYNTH_API_KEY=backend.api_key)
    assert done.returncode == 0, done.stderr


def documents(command: Command, folder: Path) -> None:
    for name in ("old", "openapi"):
        shutil.copy(spec_path(), folder / f"{name}.yaml")


def data(command: Command, folder: Path) -> None:
    with LocalBackend(folder / "pools"):
        pass


def profile(command: Command, folder: Path) -> None:
    assert command("config", "set", "local", "--url", "http://127.0.0.1:8080").returncode == 0


PREPARED: dict[str, Callable[[Command, Path], None]] = {
    "journal show": journals,
    "journal merge": journals,
    "compare": comparable_runs,
    "export": journals,
    "ui": journals,
    "contract-diff": documents,
    "contract-judge": traffic,
    "backup": data,
    "compact": data,
    "config use": profile,
    "config remove": profile,
}


@pytest.fixture
def folder(tmp_path: Path, backend: LocalBackend, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to run in, and a backend with what the examples name."""
    monkeypatch.chdir(tmp_path)
    with backend.client() as client:
        if all(pool["id"] != POOL for pool in client.iter_pools()):
            client.create_pool({"id": POOL, "name": "example"})
    return tmp_path


def words_of(line: str, backend: LocalBackend) -> list[str]:
    program, *words = shlex.split(line)
    assert program == "synth-pools"
    place = {"http://127.0.0.1:8080": backend.url, "8080": "0", ROLLOUT: ROLLOUT}
    if ROLLOUT in words:
        with backend.client() as client:
            place[ROLLOUT] = client.create_rollout(POOL, {"mode": "sync"})["id"]
    return [place.get(word, word) for word in words]


@pytest.mark.parametrize(("name", "line"), ENDING, ids=[line[12:] for _, line in ENDING])
def test_an_example_runs(
    name: str, line: str, backend: LocalBackend, command: Command, folder: Path
) -> None:
    if name in PREPARED:
        PREPARED[name](command, folder)
    words = words_of(line, backend)
    with real_container() if CONTAINER in words else contextlib.nullcontext(CONTAINER) as url:
        done = command(*(url if word == CONTAINER else word for word in words))
    assert done.returncode == 0, done.stderr
    assert "error" not in done.stderr


@pytest.mark.parametrize("line", [line for name in sorted(LASTING) for line in LINES[name]])
def test_an_example_runs_until_it_is_interrupted(
    line: str, backend: LocalBackend, command: Command, folder: Path, surroundings: dict[str, str]
) -> None:
    words = words_of(line, backend)
    if words[0] in PREPARED:
        PREPARED[words[0]](command, folder)
    # Without a browser that would be opened.
    variables = {"SYNTH_API_KEY": backend.api_key, "PATH": "", "BROWSER": "none"}
    with started(*words, environment={**surroundings, **variables}) as process:
        assert process.stdout is not None
        [url] = re.findall(r"http://[\w.]+:\d+", process.stdout.readline())[:1]
        key = {"authorization": f"Bearer {backend.api_key}"}
        answer = httpx.get(f"{url}/v1/capabilities", headers=key, trust_env=False)
        assert answer.headers["content-type"] == "application/json"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, errors
