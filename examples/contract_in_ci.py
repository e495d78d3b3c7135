"""Contract tests in a backend's own suite: one test for each operation of the contract.

    pip install 'synth-pools[local,contract]'
    pytest examples/contract_in_ci.py

`my_backend` stands for the fixture that starts and stops your backend. A departure fails the test
of its operation, with the request as a curl line; `contract.skip` lists checks to leave out.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from synth_pools.contract import pytest_plugin as contract
from synth_pools.local import LocalBackend


@pytest.fixture(scope="module")
def my_backend() -> Iterator[LocalBackend]:
    with LocalBackend() as backend:
        yield backend


# "smoke" for every commit, "quick" for a merge, "full" for the night.
@contract.skip("client", reason="the client is tested elsewhere")
@contract.tests(profile="smoke", seed=1)
def test_contract(my_backend: LocalBackend) -> tuple[str, str]:
    return my_backend.url, my_backend.api_key
