"""The recipe of docs/operate: built by podman, and its image run as the page says."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.backend_server import eventually
from tests.support.oci import EngineUnderTest
from tests.support.ports import HeldPort

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "docs/operate/Containerfile"
KEY = "a-key-of-the-image"
# Podman may set higher limits than the machine allows.
LIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")

pytestmark = pytest.mark.xdist_group("podman")


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineUnderTest]:
    """Podman with the image of the recipe, `synth-pools`; nothing comes from a registry."""
    engine = EngineUnderTest("podman", tmp_path_factory.mktemp("podman"))
    if not engine.is_there:
        pytest.skip(f"there is no podman on this machine that works: {engine.complaint}")
    wheels = tmp_path_factory.mktemp("wheels")
    python = [sys.executable, "-m"]
    build = [*python, "hatchling", "build", "-t", "wheel", "-d", str(wheels)]
    subprocess.run(build, cwd=ROOT, check=True, timeout=300)
    [wheel] = wheels.iterdir()
    download = [*python, "pip", "download", "-q", "-d", str(wheels), f"{wheel}[local,uvloop]"]
    subprocess.run(download, check=True, timeout=300)
    base = RECIPE.read_text().partition("\n")[0].removeprefix("FROM ")
    engine.build_base(f"docker.io/library/{base}")
    arguments = ["PIP_FIND_LINKS=/dist", "PIP_NO_INDEX=1"]
    engine.say(
        *("build", "--format", "docker", "--pull=never", "--network", "none", *LIMITS),
        *("--volume", f"{wheels}:/dist:ro", "-t", "synth-pools", "-f", str(RECIPE)),
        *(word for argument in arguments for word in ("--build-arg", argument)),
        str(RECIPE.parent),
    )
    yield engine
    engine.say("rmi", "--all", "--force")


def test_the_image_serves_as_nobody_and_writes_to_its_data_alone(
    podman: EngineUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (ROOT / "docs/operate.md").read_text().replace("\\\n    ", "")
    [line] = re.findall(r"^podman run .*", page, re.MULTILINE)
    options, _, of_serve = line.removeprefix("podman run ").partition(" synth-pools --allowed")
    # A network of its own takes rights that a test may lack.
    options = re.sub(r"-p \S+", "--network host", options)
    port = HeldPort.kept().number
    monkeypatch.setenv("SYNTH_POOLS_API_KEY", KEY)
    of_image = [*shlex.split(f"--allowed{of_serve}"), "--port", str(port)]
    podman.say("run", *LIMITS, *shlex.split(options), "synth-pools", *of_image)
    try:
        headers = {"authorization": f"Bearer {KEY}", "host": "pools.example.com"}
        url = f"http://127.0.0.1:{port}/v1"
        eventually(lambda: _status(f"{url}/capabilities", headers) == 200)
        created = httpx.post(f"{url}/pools", json={"name": "p"}, headers=headers)
        assert created.status_code == 201
        written = "import os; print(os.getuid(), os.access('/', os.W_OK)); open('/tmp/x', 'w')"
        assert podman.say("exec", "synth-pools", "python", "-c", written) == "65534 False"
        # Not even root may: the file system is read-only.
        refused = podman.say(
            *("exec", "--user", "0", "synth-pools", "sh", "-c", "echo >/usr/x || echo no"),
            check=False,
        )
        assert refused == "no"
        podman.say("stop", "synth-pools")
        assert podman.say("inspect", "synth-pools", "--format", "{{.State.ExitCode}}") == "0"
    finally:
        podman.say("rm", "--force", "--volumes", "synth-pools", check=False)
        podman.say("volume", "rm", "--force", "synth-pools", check=False)


def _status(url: str, headers: dict[str, str]) -> int:
    try:
        return httpx.get(url, headers=headers).status_code
    except httpx.TransportError:
        return 0
