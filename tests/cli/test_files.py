"""Files that commands write: devices, pipes, links and standard output, and what exists already."""

from __future__ import annotations

import json
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from synth_pools.cli.contract.reports import log_target
from synth_pools.cli.failures import CommandError
from synth_pools.cli.files import complete_file
from synth_pools.contract.traffic.log import TrafficLog
from synth_pools.local import LocalBackend
from tests.cli.conftest import Command

Writing = Callable[[object], tuple[object, ...]]


@pytest.fixture(params=["run", "merge", "export", "inspect", "download", "artifact", "report"])
def writing(
    request: pytest.FixtureRequest, backend: LocalBackend, command: Command, tmp_path: Path
) -> Writing:
    """The words of a command that writes to the target that it is given."""
    with backend.client() as client:
        pool = client.create_pool({"name": "files"})["id"]
        rollout = client.create_rollout(pool, {"mode": "sync"})
        path = client.get_rollout_artifacts(pool, rollout["id"])["items"][0]["path"]
    journal = tmp_path / "journal.jsonl"
    if request.param in ("merge", "export", "inspect"):
        assert command("run", pool, "--seeds", "1..2", "--journal", journal).returncode == 0
    archive = tmp_path / "in.har"
    answer = {"mimeType": "application/json", "text": '{"items": [], "next_cursor": null}'}
    entry = {
        "request": {"method": "GET", "url": f"{backend.url}/v1/pools", "headers": []},
        "response": {"status": 200, "headers": [], "content": answer},
    }
    archive.write_text(json.dumps({"log": {"version": "1.2", "entries": [entry]}}))
    words: dict[str, Writing] = {
        "run": lambda target: ("run", pool, "--seeds", "1..2", "--out", target),
        "merge": lambda target: ("journal", "merge", journal, "--out", target),
        "export": lambda target: ("export", journal, "--format", "csv", "--out", target),
        "inspect": lambda target: ("export", journal, "--format", "inspect", "--out", target),
        "download": lambda target: ("rollouts", "download", rollout["id"], "--to", target),
        "artifact": lambda target: ("rollouts", "artifact", rollout["id"], path, "--to", target),
        "report": lambda target: ("contract-judge", archive, "--json", target),
    }
    return words[request.param]


def test_a_file_is_replaced_with_force_alone(
    command: Command, writing: Writing, tmp_path: Path
) -> None:
    target = tmp_path / "there"
    target.write_text("mine\n")
    target.chmod(0o600)
    refused = command(*writing(target))
    assert (refused.returncode, "--force" in refused.stderr) == (2, True), refused.stderr
    assert target.read_text() == "mine\n"
    assert command(*writing(target), "--force").returncode in (0, 1)
    assert target.read_bytes()[:5] != b"mine\n"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_links_are_followed_and_pipes_written_through(
    command: Command, writing: Writing, tmp_path: Path
) -> None:
    link, behind, pipe = tmp_path / "link", tmp_path / "behind", tmp_path / "pipe"
    link.symlink_to(behind)
    assert command(*writing(link)).returncode in (0, 1)
    assert (link.is_symlink(), behind.stat().st_size > 0) == (True, True)
    os.mkfifo(pipe)
    contents: list[bytes] = []
    reader = threading.Thread(target=lambda: contents.append(pipe.read_bytes()))
    reader.start()
    done = command(*writing(pipe))
    if not stat.S_ISFIFO(pipe.stat().st_mode) or done.returncode not in (0, 1):
        os.close(os.open(pipe, os.O_RDWR))
    reader.join(60)
    assert done.returncode in (0, 1), done.stderr
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert contents[0]
    device = tmp_path / "device"
    device.symlink_to("/dev/null")
    assert command(*writing(device)).returncode in (0, 1)
    assert Path("/dev/null").is_char_device()


def test_standard_output_has_the_content_alone(
    command: Command, writing: Writing, tmp_path: Path
) -> None:
    expected = tmp_path / "expected"
    expected_status = command(*writing(expected)).returncode
    # `command` reads its outputs from files, and a file is replaced by what does not look.
    for target in ("-", "/dev/fd/1"):
        done = command(*writing(target), folder=tmp_path)
        assert done.returncode == expected_status in (0, 1)
        assert done.stdout[:2].encode() == expected.read_bytes()[:2]
    assert not (tmp_path / "-").exists()


def test_a_log_of_traffic_follows_the_rule(command: Command, tmp_path: Path) -> None:
    former = tmp_path / "former.har"
    former.write_text("mine")
    for words in (
        ("contract-test", "http://127.0.0.1:9"),
        ("contract-proxy", "http://127.0.0.1:9"),
    ):
        refused = command(*words, "--har", former)
        assert (refused.returncode, "--force" in refused.stderr) == (2, True)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with TrafficLog(log_target(pipe), log_target(tmp_path / "log.ndjson")):
        pass
    assert json.loads(os.read(reader, 10_000))["log"]["entries"] == []
    os.close(reader)
    assert (tmp_path / "log.ndjson").read_text() == ""


def test_a_file_that_another_program_makes_meanwhile_stays(tmp_path: Path) -> None:
    target = tmp_path / "target"
    with pytest.raises(CommandError, match="there already"), complete_file(target) as draft:
        draft.write_text("ours")
        target.write_text("theirs")
    assert target.read_text() == "theirs"
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def test_nothing_is_written_where_the_work_fails(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("former")
    with pytest.raises(KeyboardInterrupt), complete_file(target, force=True) as draft:
        draft.write_text("half")
        raise KeyboardInterrupt
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("target", "former")]


def test_what_is_read_is_not_written(command: Command, tmp_path: Path) -> None:
    journal = tmp_path / "run.jsonl"
    journal.touch()
    for words in (
        ("journal", "merge", journal, "--out", journal),
        ("export", journal, "--format", "csv", "--out", journal),
        ("run", "p", "--seeds", "1..2", "--journal", journal, "--out", journal),
    ):
        done = command(*words, "--force")
        assert done.returncode == 2, words
