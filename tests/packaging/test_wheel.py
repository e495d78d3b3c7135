"""Wheel, built, installed into an empty environment, and used from there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from tests.support.document import OPERATIONS

REPO = Path(__file__).parents[2]

# Installation takes as long as the package index.
pytestmark = [pytest.mark.system, pytest.mark.timeout(600), pytest.mark.xdist_group("wheel")]


def run(*command: str | Path, cwd: Path, status: int = 0, **variables: str) -> str:
    # Neither the checkout nor this environment may help.
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "VIRTUAL_ENV", "SYNTH_", "UV"))
    } | variables
    completed = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=540,
        check=False,
    )
    assert completed.returncode == status, completed.stdout
    return completed.stdout


def install(wheel: Path, folder: Path, *, extras: str = "") -> Path:
    """Install the wheel into a new environment; return the folder of its programs."""
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    programs = folder / "venv/bin"
    run(
        *(sys.executable, "-m", "pip", "--python", programs / "python", "--quiet", "install"),
        *("--disable-pip-version-check", "--constraint", REPO / "requirements/constraints.txt"),
        # Few of the installed modules are ever loaded.
        "--no-compile",
        f"{wheel}{extras}",
        cwd=folder,
    )
    return programs


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("wheel")
    run(
        *(sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "wheel"),
        *("--no-deps", "--no-build-isolation", "--wheel-dir", target, REPO),
        cwd=target,
    )
    (built,) = target.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def base(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(wheel, tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def full(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(wheel, tmp_path_factory.mktemp("full"), extras="[all]")


def built_from(source: Path, target: Path) -> list[Path]:
    """Build the source distribution and the wheel of a folder."""
    run(sys.executable, "-m", "hatchling", "build", "-d", target, cwd=source)
    return sorted(target.iterdir())


def test_what_is_built_is_the_same_each_time_and_from_its_own_sources(tmp_path: Path) -> None:
    first = built_from(REPO, tmp_path / "first")
    wheel, sources = first
    assert (wheel.suffix, sources.suffix) == (".whl", ".gz")
    with tarfile.open(sources) as archive:
        archive.extractall(tmp_path, filter="data")
    unpacked = tmp_path / sources.name.removesuffix(".tar.gz")
    for path in unpacked.rglob("*"):
        path.touch()
    again = built_from(unpacked, tmp_path / "again")
    assert [path.name for path in again] == [path.name for path in first]
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in first]


def test_the_install_brings_completion(base: Path, tmp_path: Path) -> None:
    placed = {
        "bash": "bash-completion/completions/synth-pools",
        "zsh": "zsh/site-functions/_synth-pools",
        "fish": "fish/vendor_completions.d/synth-pools.fish",
    }
    for shell, place in placed.items():
        text = (base.parent / "share" / place).read_text(encoding="utf-8")
        assert text.strip() == run(base / "synth-pools", "completion", shell, cwd=tmp_path).strip()
    completed = run(
        *("bash", "-c"),
        f"PATH={base}:$PATH; source {base.parent / 'share' / placed['bash']};"
        " COMP_WORDS=(synth-pools poo); COMP_CWORD=1; _synth_pools_completion synth-pools;"
        ' printf "%s\\n" "${COMPREPLY[@]}"',
        cwd=tmp_path,
    )
    assert completed.split() == ["pools"]


def test_what_is_in_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        for document in ("openapi.yaml", "container.openapi.yaml"):
            assert archive.read(f"synth_pools/{document}") == (REPO / document).read_bytes()
    assert {"synth_pools/py.typed", "synth_pools_api/py.typed"} <= names
    assert "synth_pools_api/api/pools/create_pool.py" in names
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {
        "synth_pools",
        "synth_pools_api",
    }
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if "__pycache__" in name]


def test_the_base_install_is_light(base: Path, tmp_path: Path) -> None:
    listing = run(
        base / "python",
        "-c",
        "from importlib.metadata import distributions\n"
        "print(*sorted(d.name.lower().replace('_', '-') for d in distributions()))",
        cwd=tmp_path,
    )
    asked_for = {"synth-pools", "attrs", "click", "httpcore", "httpx"}
    # Their imports differ a little between Python versions.
    theirs = {"anyio", "certifi", "h11", "idna", "typing-extensions"}
    installed = set(listing.split())
    assert asked_for <= installed <= asked_for | theirs


def test_the_base_install_has_the_client(base: Path, tmp_path: Path) -> None:
    output = run(
        base / "python",
        "-c",
        "import importlib.metadata, synth_pools, synth_pools_api\n"
        "from synth_pools import AsyncContainerPoolsClient, ContainerPoolsClient, SynthClient\n"
        "assert synth_pools.__version__ == importlib.metadata.version('synth-pools')\n"
        "for client in ContainerPoolsClient(api_key='k'), SynthClient(api_key='k').pools:\n"
        "    assert callable(client.get_pool_urls)\n"
        "print(synth_pools.__file__, synth_pools_api.__file__)",
        cwd=tmp_path,
    )
    assert all(path.startswith(str(base.parent)) for path in output.split())


def test_the_base_install_says_what_the_command_line_needs(base: Path, tmp_path: Path) -> None:
    output = run(base / "synth-pools", "serve", cwd=tmp_path, status=2)
    assert len(output.splitlines()) == 1
    assert "pip install 'synth-pools[" in output


def test_the_base_install_has_the_commands_for_a_service(base: Path, tmp_path: Path) -> None:
    assert run(base / "synth-pools", "--version", cwd=tmp_path).startswith("synth-pools ")
    assert "rollouts" in run(base / "synth-pools", "--help", cwd=tmp_path)
    assert "--limit" in run(base / "synth-pools", "pools", "list", "--help", cwd=tmp_path)
    output = run(
        base / "synth-pools", "pools", "list", "--url=http://127.0.0.1:9", cwd=tmp_path, status=4
    )
    assert "there is no API key" in output
    output = run(base / "synth-pools", "demo", cwd=tmp_path, status=2)
    assert re.search(r"pip install '(.+)'.* uvx --from '\1' synth-pools demo$", output.strip())


@pytest.mark.system
def test_the_demo_needs_what_it_says(
    base: Path, wheel: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    [extras] = re.findall(
        r"pip install 'synth-pools(.+)';", run(base / "synth-pools", "demo", cwd=tmp_path, status=2)
    )
    programs = install(wheel, tmp_path_factory.mktemp("demo"), extras=extras)
    output = run(programs / "synth-pools", "demo", cwd=tmp_path)
    assert "Everything is stopped" in output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.system
def test_uvx_needs_no_more_than_the_name_for_the_demo(wheel: Path, tmp_path: Path) -> None:
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    constraints = ("--constraint", REPO / "requirements/constraints.txt")
    packages = tmp_path / "packages"
    # pip, unlike uv, has settings that name the package index.
    run(*pip, "install", "--target", tmp_path / "uv", "uv==0.13.9", cwd=tmp_path)
    requirement = f"{wheel}[local,demo]"
    run(*pip, "download", "--dest", packages, *constraints, requirement, cwd=tmp_path)
    here = tmp_path / "here"
    here.mkdir()
    output = run(
        *(tmp_path / "uv/bin/uvx", "--python", sys.executable, "--from", wheel),
        *("synth-pools", "demo"),
        cwd=here,
        UV_NO_INDEX="1",
        UV_FIND_LINKS=str(packages),
        UV_CACHE_DIR=str(tmp_path / "cache"),
        UV_PYTHON_DOWNLOADS="never",
    )
    assert "Everything is stopped" in output
    assert list(here.iterdir()) == []


@pytest.mark.system
def test_the_full_install_finds_the_spec_inside_itself(full: Path, tmp_path: Path) -> None:
    (tmp_path / "openapi.yaml").write_text("not this one")
    output = run(
        full / "python",
        "-c",
        "from synth_pools.spec import load_spec, spec_path\n"
        "print(sum('operationId' in operation for path in load_spec()['paths'].values()"
        " for operation in path.values()), spec_path())",
        cwd=tmp_path,
    )
    number, path = output.split()
    assert int(number) == len(OPERATIONS)
    assert path.startswith(str(full.parent))


@pytest.mark.system
def test_the_full_install_has_the_command_line(full: Path, tmp_path: Path) -> None:
    assert "serve" in run(full / "synth-pools", "--help", cwd=tmp_path)


@pytest.mark.system
def test_the_full_install_runs_a_rollout(full: Path, tmp_path: Path) -> None:
    output = run(
        full / "python",
        "-c",
        "import httpx\n"
        "from synth_pools.local import LocalBackend\n"
        "with LocalBackend() as backend, backend.client() as client:\n"
        "    pool = client.create_pool({'name': 'p', 'target': 'arbitrary', 'tasks': []})\n"
        "    rollout = client.create_rollout(pool['id'], {'mode': 'sync', 'seed': 1})\n"
        "    print(rollout['status'], rollout['metrics']['outcome_reward'])\n"
        "    headers = {'authorization': f'Bearer {backend.api_key}'}\n"
        "    told = httpx.get(f'{backend.url}/metrics', headers=headers).text\n"
        "    print('synth_pools_rollouts{state=\"completed\"} 1.0' in told)\n",
        cwd=tmp_path,
    )
    assert output.split() == ["completed", "1.0", "True"]
