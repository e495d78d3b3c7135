"""The contract kit against a backend with a PostgreSQL database: all of it conforms."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from synth_pools.contract import run_contract
from synth_pools.local import LocalBackend
from tests.contract.faults.fault import KEY
from tests.contract.selftest.serving import two_on_one_store

# Time limit on a busy machine.
_SECONDS = 2400.0


def test_the_contract_is_kept(store: str, tmp_path: Path) -> None:
    with LocalBackend(tmp_path, store=store, allow_processes=True) as backend:
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "synth_pools",
                "contract-test",
                backend.url,
                "--profile",
                "full",
            ],
            env={**os.environ, "SYNTH_API_KEY": backend.api_key},
            capture_output=True,
            text=True,
            timeout=_SECONDS,
        )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]


def test_two_backends_behind_a_round_robin_keep_it(store: str) -> None:
    with two_on_one_store(store) as url:
        report = run_contract(
            url, api_key=KEY, seed=1, profile="quick", skip=("schema", "client", "model")
        )
    departed = [(group.first.check, group.first.got) for group in report.groups]
    assert report.exit_code == 0, (report.obstacles, departed)
