"""The kit on services that nobody here wrote: no false alarm, and most planted faults are seen."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from synth_pools.contract.document import Document, read_specification
from synth_pools.contract.results import Report
from synth_pools.contract.roles.workflows import read_roles
from synth_pools.contract.run import run_contract
from tests.foreign.conftest import Running
from tests.foreign.faults import FAULTS
from tests.foreign.planting import planted

# Share of the planted faults that the kit has to see.
FLOOR = 0.7
# Departures of the services from their own documents, each read in the request that shows it.
KNOWN = {
    "harbor": set[tuple[str, str]](),
    "heroes": set[tuple[str, str]](),
    "chroma": {
        # A body of the wrong type is 422, which is not listed.
        ("schema.status", "create_collection"),
        # It is an object, and described as a text.
        ("schema.body", "healthcheck"),
        # It is JSON, and described as text/plain.
        ("schema.content_type", "version"),
    },
}


def _judge(service: Running, url: str, patience: float = 30.0) -> Report:
    return run_contract(
        url,
        api_key=service.key,
        spec=service.spec,
        subject=service.subject,
        profile="smoke",
        seed=1,
        patience=patience,
    )


def _alarms(report: Report) -> set[tuple[str, str]]:
    return {(departure.check, departure.operation) for departure in report.departures}


@pytest.mark.timeout(600)
def test_nothing_but_real_departures_is_told(running: Running) -> None:
    document = Document(read_specification(running.spec))
    (resource,) = read_roles(running.subject, document).values()
    with planted(running.url, document, resource, lambda _, call, send: send(call)) as proxy:
        # Without a fault the proxy changes nothing, so what it shows later is the fault.
        for url in (running.url, proxy):
            report = _judge(running, url)
            assert report.obstacles == ()
            assert _alarms(report) == KNOWN[running.name]


@pytest.mark.timeout(1800)
def test_most_planted_faults_are_seen(running: Running) -> None:
    document = Document(read_specification(running.spec))
    (resource,) = read_roles(running.subject, document).values()
    faults = {
        name: plant
        for name, (plant, roles) in FAULTS.items()
        if all(getattr(resource, role) for role in roles)
    }

    def is_seen(name: str) -> bool:
        with planted(running.url, document, resource, faults[name]) as url:
            report = _judge(running, url, patience=10.0)
        # An obstacle counts, too: a run that cannot begin ends with 2, and says why.
        return bool(_alarms(report) - KNOWN[running.name] or report.obstacles)

    with ThreadPoolExecutor(3) as pool:
        verdicts = dict(zip(faults, pool.map(is_seen, faults), strict=True))
    missed = sorted(name for name, is_caught in verdicts.items() if not is_caught)
    print(f"{running.name}: {len(faults) - len(missed)} of {len(faults)} seen, missed {missed}")
    assert len(missed) <= (1 - FLOOR) * len(faults), missed


def test_there_are_faults_of_thirty_kinds() -> None:
    assert len(FAULTS) >= 30


def test_subject_files_are_short() -> None:
    for file in (Path(__file__).parent / "subjects").glob("*.yaml"):
        assert len(file.read_text().splitlines()) <= 30
