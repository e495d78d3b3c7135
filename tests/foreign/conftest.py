"""Services that nobody here wrote, each with its document and a subject file."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.foreign.heroes import KEY as HEROES_KEY
from tests.support.ports import HeldPort

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
HARBOR = ROOT / ".venv-environments/harbor/bin/harbor"
CHROMA = ROOT / ".venv-foreign/bin/chroma"
HARBOR_KEY = "harbor-key-0123456789"
_STARTS = 240
_PORTS = 5


@dataclass(frozen=True)
class Running:
    """Service that runs.

    Attributes:
        name: Its name.
        url: Its base URL.
        key: Its key.
        spec: Its document, as it serves it.
        subject: Its subject file.
    """

    name: str
    url: str
    key: str | None
    spec: Path
    subject: Path


@dataclass(frozen=True)
class Service:
    """Way to start a service: its command, given a port, with variables and a key."""

    command: Callable[[str], list[str]]
    variables: Mapping[str, str]
    key: str | None


SERVICES = {
    "harbor": Service(
        lambda port: [str(HARBOR), "serve", "--port", port, "--data-dir", "data"],
        {"HARBOR_TELEMETRY": "0", "HARBOR_API_KEY": HARBOR_KEY, "PYTHONPATH": str(HERE)},
        HARBOR_KEY,
    ),
    "chroma": Service(
        lambda port: [str(CHROMA), "run", "--path", "data", "--port", port], {}, None
    ),
    "heroes": Service(
        lambda port: [
            *(sys.executable, "-m", "uvicorn", "tests.foreign.heroes:app"),
            *("--app-dir", str(ROOT), "--port", port),
        ],
        {},
        HEROES_KEY,
    ),
}


@contextmanager
def served(name: str, folder: Path) -> Iterator[Running]:
    """Run a service until the block ends; skip the test if it is not installed."""
    service = SERVICES[name]
    if not Path(service.command("0")[0]).exists():
        pytest.skip(f"{name} is not installed here: `make test-foreign` says why")
    process, url, document = _started(service, folder)
    try:
        spec, subject = folder / "openapi.json", folder / "subject.yaml"
        spec.write_bytes(document)
        text = (HERE / f"subjects/{name}.yaml").read_text()
        subject.write_text(text.replace("tests/environments", f"{ROOT}/tests/environments"))
        yield Running(name, url, service.key, spec, subject)
    finally:
        process.kill()
        process.wait()


def _started(service: Service, folder: Path) -> tuple[subprocess.Popen[bytes], str, bytes]:
    """Start a service, and return its process, its URL and its document."""
    variables = {**os.environ, **service.variables}
    for _ in range(_PORTS):
        with HeldPort() as port:
            number = str(port.number)
        # Another program may take the port before the service does: it then ends, and gets another.
        with (folder / "output.txt").open("wb") as output:
            process = subprocess.Popen(
                service.command(number), cwd=folder, env=variables, stdout=output, stderr=output
            )
        url = f"http://127.0.0.1:{number}"
        document = _document(process, f"{url}/openapi.json")
        if document is not None:
            return process, url, document
    raise AssertionError((folder / "output.txt").read_text()[-2000:])


def _document(process: subprocess.Popen[bytes], url: str) -> bytes | None:
    """Wait for the document of a service; return None if the service ends."""
    with httpx.Client(timeout=30, trust_env=False) as client:
        for _ in range(_STARTS):
            try:
                return client.get(url).raise_for_status().content
            except httpx.HTTPError:
                try:
                    process.wait(0.5)
                except subprocess.TimeoutExpired:
                    continue
                return None
    process.kill()
    process.wait()
    return None


@pytest.fixture(scope="module", params=SERVICES)
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    name: str = request.param
    with served(name, tmp_path_factory.mktemp(name)) as service:
        yield service
