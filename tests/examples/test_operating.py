"""Files of docs/operate: a systemd unit, an image recipe, a dashboard."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import httpx
import pytest

from synth_pools.cli.local.serve import serve
from synth_pools.local import LocalBackend
from tests.support.commands import started
from tests.support.process_pools import process
from tests.support.systemd import assert_valid_unit

ROOT = Path(__file__).parents[2]
FILES = ROOT / "docs/operate"


@pytest.fixture(scope="module")
def unit() -> ConfigParser:
    # Options of systemd may be repeated, and are case-sensitive.
    parser = ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(FILES / "synth-pools.service")
    return parser


@pytest.fixture(scope="module")
def recipe() -> dict[str, str]:
    text = (FILES / "Containerfile").read_text().replace("\\\n", "")
    return dict(line.split(" ", 1) for line in text.splitlines())


def options_of(words: list[str]) -> dict[str, Any]:
    """Parse the options of `serve` with its own parser."""
    assert words[1] == "serve"
    return serve.make_context("serve", words[2:]).params


def test_the_unit_serves(unit: ConfigParser) -> None:
    service = unit["Service"]
    options = options_of(shlex.split(service["ExecStart"]))
    assert str(options["data_dir"]) == f"/var/lib/{service['StateDirectory']}"
    # systemd waits longer than the backend waits for running rollouts.
    assert int(service["TimeoutStopSec"]) > options["grace"] + 10


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd here")
    text = (FILES / "synth-pools.service").read_text()
    program = re.search(r"^ExecStart=(\S+)", text, re.MULTILINE)
    assert program is not None
    # An existing program, so that the rest is checked.
    path = tmp_path / "synth-pools.service"
    path.write_text(text.replace(program[1], sys.executable).replace("=synth-pools\n", "=root\n"))
    assert_valid_unit(path)


def test_the_unit_leaves_little_of_the_machine_exposed() -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd here")
    unit = str(FILES / "synth-pools.service")
    completed = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", unit],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    level = re.search(r"Overall exposure level for \S+: ([\d.]+)", completed.stdout)
    assert level is not None, completed
    assert float(level[1]) <= 2.5


def test_the_recipe_serves(recipe: dict[str, str]) -> None:
    options = options_of(json.loads(recipe["ENTRYPOINT"]))
    assert str(options["data_dir"]).startswith(recipe["VOLUME"])
    assert str(options["port"]) == recipe["EXPOSE"]
    # Requests to a published port arrive at another address in the container.
    assert "127.0.0.1" in options["allowed_hosts"]
    [extras] = re.findall(r"synth-pools\[([\w,]+)\]", recipe["RUN"])
    all_extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    assert set(extras.split(",")) <= set(all_extras)


def test_the_image_starts_as_the_page_says(recipe: dict[str, str], tmp_path: Path) -> None:
    page = (ROOT / "docs/operate.md").read_text().replace("\\\n    ", "")
    [line] = re.findall(r"^podman run .*", page, re.MULTILINE)
    of_podman, _, of_serve = line.partition(" synth-pools --allowed")
    assert "--env SYNTH_POOLS_API_KEY" in of_podman
    words = [*json.loads(recipe["ENTRYPOINT"]), *shlex.split(f"--allowed{of_serve}")]
    # podman waits longer than the backend waits for running rollouts.
    [patience] = re.findall(r"--stop-timeout (\d+)", of_podman)
    assert int(patience) > options_of(words)["grace"] + 10
    for option, value in (("--port", "0"), ("--data-dir", str(tmp_path / "data"))):
        words[words.index(option) + 1] = value
    key = "a-key-of-the-image"
    environment = {**os.environ, "SYNTH_POOLS_API_KEY": key}
    with started(*words[1:], environment=environment) as backend:
        assert backend.stdout is not None
        url = re.findall(r"http://\S+", backend.stdout.readline())[0]
        headers = {"authorization": f"Bearer {key}", "host": "pools.example.com"}
        assert httpx.get(f"{url}/v1/capabilities", headers=headers).status_code == 200
        backend.terminate()
        assert backend.wait(60) == 0


def test_the_recipe_sees_whether_it_is_healthy(recipe: dict[str, str]) -> None:
    _, _, command = recipe["HEALTHCHECK"].partition("CMD ")
    program, *words = json.loads(command)
    assert program == "python"
    with LocalBackend() as backend:
        here = [word.replace("http://127.0.0.1:8080", backend.url) for word in words]
        assert subprocess.run([sys.executable, *here], timeout=60, check=False).returncode == 0
    stopped = subprocess.run(
        [sys.executable, *here], stderr=subprocess.DEVNULL, timeout=60, check=False
    )
    assert stopped.returncode != 0


def test_the_backend_has_every_metric_of_the_dashboard_and_of_the_page(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("ann: sk_key_of_ann\n")
    keys.chmod(0o600)
    running = LocalBackend(allow_processes=True, api_keys_file=keys)
    with running as backend, backend.client() as client:
        pool = client.create_pool({"name": "measured", "container_url": "http://127.0.0.1:9"})
        client.create_rollout(pool["id"], {"mode": "sync"})
        placed = client.create_pool({"name": "started", "config": {"process": process()}})
        client.wait_pool_active(placed["id"], timeout=60)
        headers = {"authorization": f"Bearer {backend.api_key}"}
        metrics = httpx.get(f"{backend.url}/metrics", headers=headers).text
    metric_names = set(re.findall(r"^([a-z_]+)(?:{| )", metrics, re.MULTILINE))
    dashboard = json.loads((FILES / "grafana-dashboard.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    queries.append((ROOT / "docs/operate.md").read_text())
    names = {
        name for text in queries for name in re.findall(r"\b(?:synth_pools|process)_\w+", text)
    } - {"synth_pools_views"}  # The schema of the views of queries.
    assert len(names) > 15
    assert names <= metric_names
    # Labels that select series have to exist, too.
    chosen = {pair for text in queries for pair in re.findall(r'(\w+)="(\w+)"', text)}
    values = set(re.findall(r'(\w+)="(\w+)"', metrics))
    # No server error happened here.
    assert chosen - values <= {("status", "5xx"), ("health", "unhealthy")}
