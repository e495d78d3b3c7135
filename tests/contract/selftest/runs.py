"""Runs of the self-test: the kit on a backend with one fault, or with none.

They have a module of their own because they are run in processes of their own, which import no
`__main__`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

from synth_pools.contract import run_contract
from synth_pools.contract.results import Report
from synth_pools.contract.scenarios import all_scenarios
from tests.contract.faults import FAULTS, RULE, Fault
from tests.contract.faults.backends import faulty
from tests.contract.faults.fault import DOCUMENT, KEY
from tests.contract.faults.sentences import unexplained
from tests.contract.selftest.serving import Faultless, faultless

# The slowest parts of a run; contact, access and scenarios remain.
_OTHERS = ("schema", "client", "model")
# Seconds after which a part of the kit starts nothing new, in case a fault blocks it.
_LIMIT = 180.0
# Scenarios that wait for silence, or for checks every few seconds; others wait for less.
_BRIEF = ("idempotency", "pause", "processes", "states", "times")
_WAITING = tuple(
    scenario.id
    for scenario in all_scenarios()
    if scenario.slow and scenario.id.split(".")[0] not in _BRIEF
)
# Scenarios with few operations are about them; scenarios with more than the second number
# send hundreds of requests.
_FEW = (5, 20)
_SPOKEN = {scenario.id: frozenset(scenario.operations(DOCUMENT)) for scenario in all_scenarios()}
BY_NAME = {fault.name: fault for fault in FAULTS}


@dataclass(frozen=True, slots=True)
class Caught:
    """Verdict of the kit on one fault.

    `checks` are the checks that named a right operation, `unexplained` the departures
    that show no sentence of the document, or one about something else.
    """

    fault: str
    exit_code: int
    checks: tuple[str, ...]
    operations: tuple[str, ...]
    departures: int
    seconds: float
    summary: str
    unexplained: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return self.exit_code == 1 and bool(self.checks) and not self.unexplained


def judge(
    fault: Fault | None,
    seed: int,
    profile: str,
    skip: tuple[str, ...] = (),
    only: tuple[str, ...] = (),
    max_time: float | None = None,
) -> Report:
    """Run the kit on a fresh backend with this fault, or with none."""
    with faulty(fault) as (url, other_key):
        return run_contract(
            url,
            api_key=KEY,
            other_key=other_key,
            seed=seed,
            profile=profile,
            skip=skip,
            only=only,
            max_time=max_time,
        )


def try_in_parts(name: str, seed: int, profile: str, before: tuple[str, ...] = ()) -> Caught:
    """Run the parts of the kit that concern a fault, and more only if those do not catch it.

    First come the checks that caught it before, then the scenarios about its subject, then the
    scenarios about its operations and very few others, or few, then all of them, then the
    rest of the kit.

    Args:
        name: The name of the fault.
        seed: The seed of the runs.
        profile: Their profile.
        before: The checks that caught it before.

    Returns:
        The verdict of the first part that catches it, else that of the last one.
    """
    for skip, only in _parts(BY_NAME[name], before):
        caught = try_fault(name, seed, profile, skip, only, _LIMIT)
        if caught.ok:
            break
    return caught


def _parts(
    fault: Fault, before: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Yield the checks to skip and the only checks to play, part by part."""
    concerned = set(fault.operations)
    # Checks of single answers are not scenarios, and name none.
    expected = {*before, fault.check}
    known_ids = tuple(scenario.id for scenario in all_scenarios() if scenario.id in expected)
    known_ids += ("auth",) * ("auth.refused" in expected)
    if known_ids:
        yield (), known_ids
    # A rule's name begins with its subject; other faults have it as their kind.
    words = re.findall("[a-z]+", fault.name.split(".")[0] if fault.kind == RULE else fault.kind)
    about = {word.rstrip("s") for word in words}
    near_ids = tuple(
        scenario.id
        for scenario in all_scenarios()
        if scenario.id.split(".")[0].rstrip("s") in about
        and scenario.id not in _WAITING
        and (not concerned or concerned & _SPOKEN[scenario.id])
    )
    if "auth" in about:
        near_ids = (*near_ids, "auth")
    if near_ids:
        yield (), near_ids
    for few in _FEW if concerned else _FEW[1:]:
        far = tuple(
            scenario.id
            for scenario in all_scenarios()
            if concerned
            and (not concerned & _SPOKEN[scenario.id] or len(_SPOKEN[scenario.id]) > few)
        )
        yield (*_OTHERS, *_WAITING, *far, "auth"), ()
    yield _OTHERS, ()
    yield (), ()


def try_fault(
    name: str,
    seed: int,
    profile: str,
    skip: tuple[str, ...] = (),
    only: tuple[str, ...] = (),
    max_time: float | None = None,
) -> Caught:
    """Run the kit on a backend with a fault."""
    fault, began = BY_NAME[name], time.monotonic()
    report = judge(fault, seed, profile, skip, only, max_time)
    right = [
        group
        for group in report.groups
        if not fault.operations or set(group.operations) & set(fault.operations)
    ]
    return Caught(
        name,
        report.exit_code,
        tuple(dict.fromkeys(group.first.check for group in right)),
        tuple(dict.fromkeys(op for group in report.groups for op in group.operations)),
        len(report.groups),
        time.monotonic() - began,
        report.summary,
        unexplained(report),
    )


def try_clean(seed: int, profile: str) -> Faultless:
    """Run the kit on a backend without a fault."""
    began = time.monotonic()
    return faultless(seed, judge(None, seed, profile), began)
