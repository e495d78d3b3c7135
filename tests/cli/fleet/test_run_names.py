"""Runs on the service: named by `run`, and read by other commands."""

from __future__ import annotations

from pathlib import Path

from synth_pools.local import LocalBackend
from tests.cli.conftest import Command


def test_its_rollouts_are_a_run_with_labels(
    command: Command, backend: LocalBackend, pool: str, tmp_path: Path
) -> None:
    journal = tmp_path / "wednesday.jsonl"
    words = ("run", pool, "--seeds", "0..2", "--label", "model=a=b", "--label", "half=1")
    assert command(*words, "--name", "named-tuesday").returncode == 0
    for seeds in ("0..2", "0..4"):
        done = command("run", pool, "--seeds", seeds, "--journal", journal)
        assert (done.returncode, "run_many" in done.stderr) == (0, False)
    with backend.client() as client:
        items = client.rollouts.list(pool, run="named-tuesday", label="model=a=b")["items"]
        assert {item["labels"]["half"] for item in items} == {"1"}
        assert {item["request"]["metadata"]["run"] for item in items} == {"named-tuesday"}
        assert client.runs.get("named-tuesday")["rollouts"]["completed"] == len(items) == 3
        assert client.runs.get("wednesday")["rollouts"]["completed"] == 5
    for option, message in (
        (("--label", "model"), "write NAME=VALUE"),
        (("--label", "=x"), "--name and --label cannot be sent: labels"),
        (("--name", "x" * 129), "--name and --label cannot be sent: run"),
    ):
        done = command("run", pool, "--seeds", "0..2", *option)
        assert (done.returncode, message in done.stderr) == (2, True)
