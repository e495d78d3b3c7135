"""The program itself: help, version, and the ends of commands that are cut off."""

from __future__ import annotations

import subprocess
import sys

from synth_pools.cli.failures import ExitStatus
from synth_pools.local import LocalBackend
from tests.cli.conftest import Command
from tests.support.recording import RecordingServer, Reply
from tests.support.terminal import on_terminal


def test_a_reader_that_leaves_is_no_failed_rollout(
    backend: LocalBackend, surroundings: dict[str, str]
) -> None:
    variables = {"SYNTH_BACKEND_URL": backend.url, "SYNTH_API_KEY": backend.api_key}
    process = subprocess.Popen(
        [sys.executable, "-m", "synth_pools", "commands", "-o", "json"],
        env={**surroundings, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    with process:
        assert process.stderr.read() == b""
    assert process.returncode == ExitStatus.BROKEN_PIPE


def test_help_and_version_are_commands_too(command: Command) -> None:
    expected = command("rollouts", "list", "--help").stdout
    assert command("help", "rollouts", "list").stdout == expected
    assert command("help").stdout == command("--help").stdout
    assert command("version").stdout == command("--version").stdout.replace(", version", "")
    wrong = command("help", "rolouts")
    assert (wrong.returncode, "did you mean rollouts?" in wrong.stderr) == (2, True)
    assert command("help", "rollouts", "list", "x").returncode == 2


def test_q_leaves_top(backend: LocalBackend, surroundings: dict[str, str]) -> None:
    variables = {"SYNTH_BACKEND_URL": backend.url, "SYNTH_API_KEY": backend.api_key}
    with on_terminal("top", "--every", "600", **surroundings, **variables) as terminal:
        terminal.until("POOL")
        assert terminal.end("q")[0] == 0


def test_doctor_lists_offered_features_alone(command: Command) -> None:
    reply = Reply.json({"targets": [], "features": {"batch": True, "ray": False}})
    with RecordingServer(reply) as server:
        done = command("doctor", SYNTH_BACKEND_URL=server.url)
    [line] = [line for line in done.stdout.splitlines() if " features " in line]
    assert line.split()[1:] == ["features", "batch"]
