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
        for place in ("etc", "backups", "lib"):
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
            assert urls, backend.communicate(timeout=60)
            with httpx.Client(base_url=urls[0], timeout=60) as client:
                yield client
            backend.terminate()
            assert backend.wait(60) == 0


def with_key(name: str) -> dict[str, str]:
    key = re.search(rf"^{name}: (\S+)", KEYS, re.MULTILINE)
    assert key is not None
    return {"authorization": f"Bearer {key[1]}"}


def run_blocks(team: Team, *texts: str) -> None:
    for text in texts:
        team.run("sh", "-ec", team.here(text))


def test_a_team_serves_and_its_backup_is_served(tmp_path: Path, server: PostgresServer) -> None:
    team = Team(tmp_path, server)
    team.make_database("pools", role=True)
    backup = block("sh", "export PGPASSFILE=/etc/synth-pools/pgpass\npg_dump")
    restore, _, serving = block("sh", "export PGPASSFILE=/etc/synth-pools/pgpass\npsql").rpartition(
        "\n/opt/"
    )
    with team.serving(team.command) as client:
        # Neither the health nor what is below needs the name that the proxy passes on.
        assert client.get("/health").json()["status"] == "ok"
        ann, bob = with_key("ann"), with_key("bob")
        pool = client.post("/v1/pools", json={"name": "p"}, headers=ann).json()
        path = f"/v1/pools/{pool['id']}/rollouts"
        rollout = client.post(path, json={"mode": "sync", "seed": 7}, headers=bob).json()
        assert (rollout["status"], rollout["created_by"]) == ("completed", "bob")
        assert_doctor_is_content(str(client.base_url))
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
        assert client.post(f"/v1/pools/{pool['id']}/pause", headers=ann).is_success
        run_blocks(team, backup)

    team.make_database("restored", role=False)
    run_blocks(team, restore)
    assert not (tmp_path / "backups/restored/synth-pools/lock").exists()
    with team.serving(shlex.split(f"/opt/{serving}")) as client:
        assert_is_back(client, pool["id"], rollout["id"])

    # An older version goes on from the backup, in the same database.
    run_blocks(team, block("sh", "psql"))
    with team.serving(team.command) as client:
        assert_is_back(client, pool["id"], rollout["id"])


def assert_doctor_is_content(url: str) -> None:
    commands = block("sh", "export SYNTH_BACKEND_URL").splitlines()
    assert commands.pop() == "synth-pools doctor"
    variables = dict(line.removeprefix("export ").split("=") for line in commands)
    done = run_command("doctor", environment={**os.environ, **variables, "SYNTH_BACKEND_URL": url})
    assert done.returncode == 0, done.stdout + done.stderr


def assert_is_back(client: httpx.Client, pool: str, rollout: str) -> None:
    again = client.get(f"/v1/rollouts/{rollout}", headers=with_key("ann"))
    assert (again.json()["id"], again.json()["status"]) == (rollout, "completed")
    assert client.get(f"/v1/pools/{pool}", headers=with_key("ann")).json()["status"] == "paused"
