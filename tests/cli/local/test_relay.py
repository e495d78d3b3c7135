"""`synth-pools relay`, in a process of its own."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cli.conftest import Command
from tests.support.backend_server import eventually
from tests.support.commands import started
from tests.support.recording import RecordingServer, Reply
from tests.support.scripted_models import ScriptedModels

HTTP = httpx.Client(verify=False, trust_env=False, timeout=60)


@pytest.fixture(scope="module")
def models() -> Iterator[ScriptedModels]:
    with ScriptedModels() as server:
        yield server


def ask(url: str, text: str, **headers: str) -> httpx.Response:
    body = {"model": "say:ho", "messages": [{"role": "user", "content": text}]}
    return HTTP.post(f"{url}/chat/completions", json=body, headers=headers)


def place_of(process: subprocess.Popen[str]) -> tuple[str, str]:
    """The address and the key that a relay prints."""
    assert process.stdout is not None
    lines = [process.stdout.readline().split() for _ in range(2)]
    return lines[0][1], lines[1][1]


def messages(file: Path) -> list[Any]:
    return [step["message"] for step in json.loads(file.read_text())["steps"]]


def test_each_agent_has_a_file_and_limits_of_its_own(
    models: ScriptedModels, tmp_path: Path, surroundings: dict[str, str]
) -> None:
    folder = tmp_path / "calls"
    folder.mkdir()
    (folder / "first.json").write_text("that of an earlier relay")
    words = ["--upstream", models.base_url, "--record", folder, "--max-turns", 2]
    variables = {**surroundings, "MY_KEY": "sk-secret"}
    words += ["--upstream-key", "MY_KEY", "--price", "say:ho=1/2"]
    with started("relay", *words, environment=variables) as process:
        address, key = place_of(process)
        root = address.partition("/r/")[0]
        assert ask(address, "a").is_success
        assert ask(address.replace(key, f"{key}.first"), "b").is_success
        assert ask(f"{root}/v1", "c", authorization=f"Bearer {key}.first").is_success
        assert ask(f"{root}/v1", "d", authorization=f"Bearer {key}.first").status_code == 400
        assert ask(f"{root}/v1", "e", authorization=f"Bearer {key}.../x").status_code == 401
        assert ask(f"{root}/v1", "f", authorization="Bearer x").status_code == 401
        # Without a name behind it, it is the same agent.
        assert ask(f"{root}/v1", "g", authorization=f"Bearer {key}.").is_success
        assert ask(address, "h").status_code == 400
        # They are there while it runs.
        first, calls = folder / "first-2.json", folder / "calls.json"
        eventually(lambda: first.exists() and len(messages(first)) == 6)
        eventually(lambda: calls.exists() and len(messages(calls)) == 6)
        assert models.requests[-1].headers["authorization"] == "Bearer sk-secret"
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert sorted(path.name for path in folder.iterdir()) == [
        "calls.json", "first-2.json", "first.json",
    ]  # fmt: skip
    refusal = "The episode was stopped: max_turns is 2."
    assert messages(first) == ["b", "ho", "c", "ho", "d", refusal]
    assert messages(calls) == ["a", "ho", "g", "ho", "h", refusal]
    assert json.loads(calls.read_text())["final_metrics"]["total_cost_usd"] == 6e-6
    assert stat.S_IMODE(calls.stat().st_mode) == 0o600
    for secret in ("sk-secret", key):
        assert secret not in first.read_text() + out


def test_what_was_recorded_survives_a_kill(
    models: ScriptedModels, tmp_path: Path, surroundings: dict[str, str]
) -> None:
    words = ["--upstream", models.base_url, "--record", tmp_path / "calls"]
    with started("relay", *words, environment=surroundings) as process:
        address, _ = place_of(process)
        for text in ("a", "b"):
            ask(address, text)
        file = tmp_path / "calls" / "calls.json"
        eventually(lambda: file.exists() and len(messages(file)) == 4)
        process.kill()
        process.wait(60)
    assert messages(file) == ["a", "ho", "b", "ho"]


def test_a_limit_of_dollars_that_ends_nothing_is_told_once(
    models: ScriptedModels, tmp_path: Path, surroundings: dict[str, str]
) -> None:
    words = ["--upstream", models.base_url, "--record", tmp_path, "--max-cost", "0.5"]
    with started("relay", *words, environment=surroundings) as process:
        address, key = place_of(process)
        for name in (key, key, f"{key}.first"):
            assert ask(address.replace(key, name), "a").is_success
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    [line] = err.splitlines()
    assert line.startswith("warning: --max-cost ends nothing for the model 'say:ho': no cost")
    assert "--price MODEL=INPUT/OUTPUT" in line


def test_a_limit_of_tokens_that_ends_nothing_is_told(
    tmp_path: Path, surroundings: dict[str, str]
) -> None:
    body = b'{"choices": [{"message": {"content": "ho"}}]}'
    with RecordingServer(Reply(body=body)) as server:
        words = ["--upstream", f"{server.url}/v1", "--record", tmp_path, "--max-tokens", "5"]
        with started("relay", *words, environment=surroundings) as process:
            address, _ = place_of(process)
            assert ask(address, "a").is_success
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=60)
    [line] = err.splitlines()
    assert line.startswith("warning: --max-tokens ends nothing for the model 'say:ho': no usage")


def test_keys_that_the_server_repeats_are_in_no_file(
    tmp_path: Path, surroundings: dict[str, str]
) -> None:
    body = b'{"error": {"message": "Incorrect API key provided: sk-secret."}}'
    variables = {**surroundings, "OPENAI_API_KEY": "sk-secret"}
    with RecordingServer(Reply(401, body)) as server:
        words = ["--upstream", f"{server.url}/v1", "--record", tmp_path / "calls"]
        with started("relay", *words, environment=variables) as process:
            address, key = place_of(process)
            text = f"sk-secret sk-of-the-agent {key}"
            answer = ask(address, text, authorization="Bearer sk-of-the-agent")
            assert (answer.status_code, answer.content) == (401, body)
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)
    text = (tmp_path / "calls" / "calls.json").read_text()
    steps = json.loads(text)["steps"]
    assert steps[0]["message"] == "*** *** ***"
    assert "provided: ***." in steps[1]["extra"]["error"]["message"]
    assert not [secret for secret in ("sk-", key) if secret in text]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--upstream", "ftp://x"], "such as http://127.0.0.1:8000/v1"),
        (["--upstream", "http://x/v1", "--price", "m=x"], "MODEL=INPUT/OUTPUT"),
        (["--upstream", "http://x/v1", "--price", "m=1/."], "MODEL=INPUT/OUTPUT"),
        (["--upstream", "http://x/v1", "--upstream-key", "NOT_SET"], "no variable NOT_SET"),
    ],
)
def test_what_cannot_be_used_is_refused(
    command: Command, tmp_path: Path, words: list[str], sentence: str
) -> None:
    done = command("relay", *words, "--record", tmp_path)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1
