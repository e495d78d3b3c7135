"""`synth-pools config`, and which service and key a command uses."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from synth_pools.cli.access.profiles import ServiceProfile
from tests.cli.conftest import Command
from tests.support.recording import RecordingServer, Reply

KEY = "sk_of_a_profile"
NOTHING = {"SYNTH_API_KEY": "", "SYNTH_BACKEND_URL": ""}


def set_key(
    surroundings: dict[str, str], *words: str, key: str = KEY
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "synth_pools", "config", "set", *words],
        input=key,
        env=surroundings,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_profile_is_a_service_and_its_key(
    command: Command, surroundings: dict[str, str], tmp_path: Path
) -> None:
    with RecordingServer(Reply.json({"items": [], "next_cursor": None})) as server:
        done = set_key(surroundings, "mine", "--url", server.url, "--key", "-")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert command("pools", "list", **NOTHING).returncode == 0
        assert server.last.headers["authorization"] == f"Bearer {KEY}"
        # An explicit profile comes before the environment.
        result = command("pools", "list", "--profile", "mine", SYNTH_API_KEY="other")
        assert result.returncode == 0
        assert server.last.headers["authorization"] == f"Bearer {KEY}"
        # And the environment before the current one.
        plain = command("pools", "list", SYNTH_API_KEY="other", SYNTH_BACKEND_URL=server.url)
        assert plain.returncode == 0
        assert server.last.headers["authorization"] == "Bearer other"
    listed = command("config", "list", **NOTHING)
    assert f"*  mine  {server.url}" in listed.stdout
    assert KEY not in listed.stdout
    path = Path(command("config", "path").stdout.strip())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    retained = path.parent / "keys" / "mine"
    assert (stat.S_IMODE(retained.stat().st_mode), retained.read_text()) == (0o600, f"{KEY}\n")
    assert KEY not in path.read_text()
    assert command("config", "remove", "mine").returncode == 0
    assert not retained.exists()


def test_a_key_goes_to_no_other_service(command: Command, surroundings: dict[str, str]) -> None:
    set_key(surroundings, "mine", "--url", "http://127.0.0.1:1", "--key", "-")
    with RecordingServer() as server:
        done = command("pools", "list", "--url", server.url, **NOTHING)
        assert (done.returncode, "is not sent to another service" in done.stderr) == (4, True)
        assert server.connections == 0


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["use", "nobody"], "there is no profile 'nobody'"),
        (["use", "min"], "did you mean mine?"),
        (["set", "x", "--url", "a-key"], "--url takes the address of a service"),
        (["set", "../up", "--url", "http://h"], "is no name of a profile"),
        (["set", "mine", "--key", "sk_secret"], "--key takes - alone"),
    ],
)
def test_what_cannot_be_done_is_one_line(command: Command, words: list[str], line: str) -> None:
    command("config", "set", "mine", "--url", "http://127.0.0.1:1")
    done = command("config", *words)
    assert done.returncode in (2, 3)
    [lines] = done.stderr.splitlines()
    assert line in lines
    assert "sk_secret" not in lines


def test_a_key_that_is_none(surroundings: dict[str, str]) -> None:
    for key in ("", "two\nlines", "é"):
        done = set_key(surroundings, "mine", "--key", "-", key=key)
        assert (done.returncode, "what came is no key" in done.stderr) == (2, True)


def test_a_file_that_is_none_of_profiles(command: Command) -> None:
    path = Path(command("config", "path").stdout.strip())
    path.parent.mkdir(parents=True)
    for text in ("current = ", "profiles = 1", "[profiles.a]\nurl = 1", "[profiles.a]\nkeys = ''"):
        path.write_text(text)
        done = command("pools", "list", **NOTHING)
        assert (done.returncode, str(path) in done.stderr) == (2, True), text


def test_names_and_places_survive_being_written(command: Command, tmp_path: Path) -> None:
    key_file = tmp_path / 'a "key" \\ é'
    key_file.write_text(KEY)
    key_file.chmod(0o600)
    with RecordingServer(Reply.json({"items": []})) as server:
        command("config", "set", "a.b-c", "--url", server.url, "--key-file", key_file)
        assert command("pools", "list", **NOTHING).returncode == 0
        assert server.last.headers["authorization"] == f"Bearer {KEY}"


def test_a_link_to_the_profiles_stays_one(command: Command, tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / ".config/synth-pools", tmp_path / "elsewhere.toml"
    folder.mkdir(parents=True)
    (folder / "config.toml").symlink_to(elsewhere)
    for name in ("a", "b"):
        done = command("config", "set", name, "--url", "http://127.0.0.1:1")
        assert (done.returncode, done.stderr) == (0, "")
        assert (folder / "config.toml").is_symlink()
    listed = command("config", "list", **NOTHING).stdout
    assert elsewhere.read_text().count("127.0.0.1:1") == listed.count("127.0.0.1:1") == 2
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o600


def test_where_a_key_is_kept() -> None:
    assert ServiceProfile("a").key_place == "-"
    assert ServiceProfile("a", key_file="/keys/a").key_place == "/keys/a"
    assert ServiceProfile("a", in_keyring=True).key_place == "keyring"


@pytest.mark.parametrize(
    "variable",
    [
        "SYNTH_API_URL",
        "SYNTH_BACKEND_URL_OVERRIDE",
        "DEV_SYNTH_BACKEND_URL",
        "PROD_SYNTH_BACKEND_URL",
    ],
)
def test_a_service_that_only_a_published_client_would_call_is_refused(
    variable: str, command: Command, surroundings: dict[str, str]
) -> None:
    assert set_key(surroundings, "hosted", "--key", "-").returncode == 0
    misplaced = {**NOTHING, variable: "http://127.0.0.1:1"}
    for words in (["pools", "list"], ["pools", "list", "--profile", "hosted"], ["doctor"]):
        refused = command(*words, **misplaced)
        assert refused.returncode == 2
        output = " ".join((refused.stdout + refused.stderr).split())
        assert f"{variable} is set, and not read: name the service by SYNTH_BACKEND_URL" in output
    with RecordingServer(Reply.json({"items": [], "next_cursor": None})) as server:
        completed = command("pools", "list", SYNTH_BACKEND_URL=server.url, **{variable: "http://x"})
        assert completed.returncode == 0
