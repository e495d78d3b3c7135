"""Histories of clients of two backends on one database are linearizable, and a fault is found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.postgres.test_several_backends import several
from tests.support.backend_server import Server
from tests.support.container_process import container_processes
from tests.system.histories.test_histories import FAULTS, Fault, refutations, send_to
from tests.system.histories.workload import Workload


@pytest.fixture
def container_url(tmp_path: Path) -> Iterator[str]:
    with container_processes(tmp_path, "forgetting") as (container,):
        yield container.url


@pytest.fixture
def two(store: str, tmp_path: Path) -> Iterator[list[Server]]:
    with several(2, store, tmp_path) as backends:
        yield backends


@pytest.mark.parametrize("seed", range(2))
def test_two_backends_are_linearizable(two: list[Server], container_url: str, seed: int) -> None:
    workload = Workload([send_to(server) for server in two], seed, container_url)
    workload.run(pools=6, keys=12, steps=60)
    assert list(map(str, refutations(workload))) == []
    answered = [operation for _, operation in workload.operations if operation.is_known]
    assert len(answered) == len(workload.operations) == 6 * 3 * 60


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_one_of_them_is_found(
    two: list[Server], container_url: str, fault: type[Fault]
) -> None:
    with closing(fault(send_to(two[0]))) as send:
        for seed in range(5):
            workload = Workload([send, send_to(two[1])], seed, container_url)
            workload.run(pools=6, keys=12, steps=60)
            if refutations(workload):
                return
    pytest.fail("five histories of 1,080 operations each were taken for right")
