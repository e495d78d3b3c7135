"""Schemathesis on its own: with the document of OpenAPI 3.2 it complains of no event stream."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from codegen import openapi32
from synth_pools.local import LocalBackend
from synth_pools.spec import spec_path
from tests.contract.faults.fault import DOCUMENT, KEY

_STREAMS = [operation.id for operation in DOCUMENT.operations.values() if operation.streams]


def _run(document: Path, url: str, settings: str, folder: Path) -> subprocess.CompletedProcess[str]:
    configuration = folder / "schemathesis.toml"
    configuration.write_text(settings)
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        *("--config-file", str(configuration), "run", str(document), "--url", url),
        *("--header", f"Authorization: Bearer {KEY}", "--seed", "1", "--max-examples", "3"),
        *("--phases", "examples,fuzzing"),
    ]
    for operation in _STREAMS:
        command += ["--include-operation-id", operation]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.system
def test_the_recommended_document_has_no_false_alarm(tmp_path: Path) -> None:
    openapi32.write(spec_path(), tmp_path)
    with LocalBackend(api_key=KEY) as backend:
        headers = {"Authorization": f"Bearer {KEY}"}
        with httpx.Client(base_url=backend.url, headers=headers, timeout=60) as client:
            client.post("/v1/pools", json={"name": "n", "id": "p"}).raise_for_status()
            created = client.post("/v1/pools/p/rollouts", json={"mode": "sync"})
            # The stream of an archived pool ends.
            client.delete("/v1/pools/p").raise_for_status()
        rollout_id = created.raise_for_status().json()["id"]
        settings = f'[parameters]\npool_id = "p"\nrollout_id = "{rollout_id}"\n'
        settings += "[cache]\nenabled = false\n"
        done = _run(tmp_path / openapi32.NAME, backend.url, settings, tmp_path)
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout
