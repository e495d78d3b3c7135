"""The pytest plugin: tests of the contract in a backend's own suite."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from synth_pools.contract import pytest_plugin as contract
from synth_pools.contract.pytest_plugin import contract_tests
from synth_pools.local import LocalBackend
from tests.contract.faults import FAULTS
from tests.contract.faults.fault import DOCUMENT, KEY
from tests.contract.faults.proxy import FaultProxy

_SUITE = """
from synth_pools.contract.pytest_plugin import contract_tests

test_contract = contract_tests("{url}", api_key="{key}", seed=1, only=["{only}"])
"""


# An unregistered mark is an error in the user's suite.
_STRICT = ("--strict-markers", "-W", "error::pytest.PytestUnknownMarkWarning")


def test_it_passes_and_says_what_was_not_judged(tmp_path: Path) -> None:
    with LocalBackend(api_key=KEY) as backend:
        # Without pytest-timeout its mark is unknown.
        out = _run(tmp_path, backend.url, "pools.patch", "-p", "no:timeout", *_STRICT)
    # pools.patch creates a pool, patches it, and reads it in two ways.
    assert f"4 passed, {len(DOCUMENT.operations) - 4} skipped" in out
    assert "Traceback" not in out


@pytest.mark.system
def test_it_fails_with_the_request(tmp_path: Path) -> None:
    fault = next(fault for fault in FAULTS if fault.name == "patch_replaces_pools")
    with LocalBackend(api_key=KEY) as backend, FaultProxy(backend.url, fault, KEY) as proxy:
        out = _run(tmp_path, proxy.url, "pools.patch", *_STRICT)
    assert "FAILED test_suite.py::test_contract[update_pool]" in out
    assert "curl -sS" in out
    assert KEY not in out


_FIXTURES = """
import pytest
from synth_pools.contract import pytest_plugin as contract

@pytest.fixture(scope="session")
def backend():
    started.append(1)
    yield "{url}", "{key}"
    assert started == [1]

started = []

@contract.skip("pools.patch", reason="ticket 12")
@contract.tests(seed=1, only=["pools.patch", "pools.taken_id"])
def test_contract(backend):
    url, key = backend
    return url, key
"""


@pytest.mark.system
def test_fixtures_start_the_backend_once_and_checks_are_left_out(tmp_path: Path) -> None:
    with LocalBackend(api_key=KEY) as backend:
        out = _run(
            tmp_path, backend.url, "", "-rs", "-k", "create_pool or update_pool", suite=_FIXTURES
        )
    assert "1 passed, 1 skipped" in out, out
    assert "pools.patch: ticket 12" in out


@pytest.mark.system
def test_an_obstacle_is_one_failure(tmp_path: Path) -> None:
    out = _run(tmp_path, "http://127.0.0.1:9", "pools.patch")
    assert f"1 failed, {len(DOCUMENT.operations) - 1} skipped" in out
    assert out.count("could not be judged: nobody answers") >= 1


def test_a_run_that_judged_nothing_is_one_failure(tmp_path: Path) -> None:
    with LocalBackend(api_key=KEY) as backend:
        # It needs a second key.
        out = _run(tmp_path, backend.url, "organisations.apart")
    assert f"1 failed, {len(DOCUMENT.operations) - 1} skipped" in out
    assert "could not be judged: nothing could be checked" in out


def test_a_skip_has_to_be_above_a_test_of_the_contract() -> None:
    with pytest.raises(TypeError, match="put it above"):
        contract.skip("pages", reason="x")(lambda: None)
    with pytest.raises(TypeError, match="needs the id"):
        contract.skip(reason="x")(contract_tests("http://127.0.0.1:9"))


def _run(folder: Path, url: str, only: str, *more: str, suite: str = _SUITE) -> str:
    (folder / "test_suite.py").write_text(suite.format(url=url, key=KEY, only=only))
    options = ("-q", "-rf", "-p", "no:cacheprovider", "--rootdir", ".")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *more],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.stdout + done.stderr
