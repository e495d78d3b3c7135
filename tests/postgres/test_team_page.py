"""The database, the service, its keys and its backup, as docs/team.md sets them up."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import yaml

from tests.support.commands import run_command, started
from tests.support.pages import BLOCKS
from tests.support.postgres_server import PostgresServer, find_programs

pytestmark = pytest.mark.postgres

ADDRESS = "pools@127.0.0.1/"


def block(language: str, beginning: str = "") -> str:
    [block_text] = [
        item.text
        for item in BLOCKS
        if (item.page, item.language) == ("docs/team.md", language)
        and item.text.startswith(beginning)
    ]
    return block_text


KEYS = block("text", "ann:")


class Team:
    """A machine of the page: its places in a folder, its database on a server of the tests."""

    def __init__(self, folder: Path, server: PostgresServer) -> None:
        self._folder = folder
        self._server = server
        for place in ("etc", "backups", "lib", "restored"):
            (folder / place).mkdir()
        # Roles are the server's, which has one `pools` already and serves other tests.
        self._role = f"team_{folder.name[-12:]}".lower().replace("-", "_")
        self.write("pgpass", block("text", "127.").replace(":pools:", f":{self._role}:"))
        self.write("keys", KEYS)
        self.environment = {**os.environ, "LC_ALL": "C"}
        self.environment["PATH"] = f"{find_programs()}:{os.environ['PATH']}"
        settings = block("ini")
        assert "Environment=PGPASSFILE=/etc/synth-pools/pgpass" in settings
        self.environment["PGPASSFILE"] = str(folder / "etc/pgpass")
        self.command = shlex.split(settings.rpartition("ExecStart=")[2])

    def write(self, name: str, text: str) -> None:
        path = self._folder / "etc" / name
        path.write_text(text)
        path.chmod(0o600)

    def here(self, text: str) -> str:
        """Put the places of the test in the place of those of the page."""
        for place, name in (
            ("/etc/synth-pools", "etc"),
            ("/backups", "backups"),
            ("/srv/restored", "restored"),
            ("/var/lib", "lib"),
        ):
            text = re.sub(rf"{place}(?=[/\s]|$)", str(self._folder / name), text)
        for database in ("pools", "restored"):
            there = f"{self._role}@127.0.0.1:{self._server.port}/{self._role}_{database}"
            text = re.sub(rf"{ADDRESS}{database}\b", there, text)
        return text

    def make_database(self, name: str, *, role: bool) -> None:
        lines = block("sql").splitlines()[0 if role else 1 :]
        script = "\n".join(lines).replace("USER pools", f"USER {self._role}")
        script = script.replace("DATABASE pools", f"DATABASE {self._role}_{name}")
        script = script.replace("TO pools", f"TO {self._role}")
        self.run("psql", "--set=ON_ERROR_STOP=1", self._server.url(), stdin=script)

    def run(self, *words: str, stdin: str = "") -> None:
        done = subprocess.run(
            words, input=stdin, env=self.environment, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr

    @contextmanager
    def serving(self, words: list[str]) -> Iterator[httpx.Client]:
        words = [self.here(word) for word in words]
        assert words.pop(0).endswith("synth-pools")
        with started(*words, "--port", "0", environment=self.environment) as backend:
            assert backend.stdout is not None
            urls = re.findall(r"http://\S+", backend.stdout.readline())
            assert urls, backend.communicate(timeout=30)
            with httpx.Client(base_url=urls[0], timeout=30) as client:
                yield client
            backend.terminate()
            assert backend.wait(60) == 0


def with_key(name: str) -> dict[str, str]:
    key = re.search(rf"^{name}: (\S+)", KEYS, re.MULTILINE)
    assert key is not None
    return {"authorization": f"Bearer {key[1]}"}


def test_a_team_serves_and_its_backup_is_served(tmp_path: Path, server: PostgresServer) -> None:
    team = Team(tmp_path, server)
    team.make_database("pools", role=True)
    with team.serving(team.command) as client:
        ann = with_key("ann")
        pool = client.post("/v1/pools", json={"name": "p"}, headers=ann).json()
        path = f"/v1/pools/{pool['id']}/rollouts"
        rollout = client.post(path, json={"mode": "sync", "seed": 7}, headers=ann).json()
        assert rollout["status"] == "completed"
        # Prometheus has a key of its own, in a file, and reaches the backend by its address.
        [job] = yaml.safe_load(block("yaml"))["scrape_configs"]
        assert job["authorization"]["credentials_file"] == "/etc/prometheus/synth-pools-key"
        metrics = client.get("/metrics", headers=with_key("prometheus"))
        assert metrics.status_code == 200
        assert client.get("/v1/pools", headers=with_key("prometheus")).status_code == 403
        refused = run_command(
            "backup", tmp_path / "copy", "--data-dir", tmp_path / "lib/synth-pools"
        )
        assert refused.returncode == 2
        assert "its data are in PostgreSQL: pg_dump" in refused.stderr
        for line in block("sh", "pg_dump").splitlines():
            team.run(*shlex.split(team.here(line)))

    team.make_database("restored", role=False)
    *restoring, serving = block("sh", "psql").splitlines()
    for line in restoring:
        team.run(*shlex.split(team.here(line)))
    assert not (tmp_path / "restored/synth-pools/lock").exists()
    team.command = [*shlex.split(serving), "--api-keys-file", "/etc/synth-pools/keys"]
    with team.serving(team.command) as client:
        again = client.get(f"/v1/rollouts/{rollout['id']}", headers=with_key("ann"))
        assert (again.json()["id"], again.json()["status"]) == (rollout["id"], "completed")
