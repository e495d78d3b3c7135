"""Runs of the self-test: the kit on a backend with one fault, or with none.

They have a module of their own because they are run in processes of their own, which import no
`__main__`.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass

from synth_pools.contract import run_contract
from synth_pools.contract.results import Report
from synth_pools.contract.scenarios import all_scenarios
from synth_pools.local import LocalBackend
from tests.contract.faults import FAULTS, Fault
from tests.contract.faults.proxy import FaultProxy
from tests.contract.second_backend.rules import RULES
from tests.contract.second_backend.serve import served

KEY = "selftest-key-0123456789"
_CONTAINER_KEY = "selftest-key-of-containers-0123456789"
OTHER_KEY = "selftest-key-of-others-0123456789"
# What takes most of a run's time; what is left is contact, access and the scenarios.
_OTHERS = ("schema", "client", "model")
# Wait for 15 seconds of silence.
_WAITING = ("events.heartbeat", "pool_events.heartbeat")
# A scenario that speaks about more operations than these sends hundreds of requests.
_FEW = 20
# Faults in the code of the second backend: no proxy is in the way.
CODE_FAULTS = tuple(Fault(rule, "rule not kept", shown, ()) for rule, shown in RULES.items())
BY_NAME = {fault.name: fault for fault in (*FAULTS, *CODE_FAULTS)}


@dataclass(frozen=True, slots=True)
class Caught:
    """Verdict of the kit on one fault; `checks` are those that named a right operation."""

    fault: str
    exit_code: int
    checks: tuple[str, ...]
    operations: tuple[str, ...]
    departures: int
    seconds: float
    summary: str

    @property
    def ok(self) -> bool:
        return self.exit_code == 1 and bool(self.checks)


def judge(
    fault: Fault | None,
    seed: int,
    profile: str,
    skip: tuple[str, ...] = (),
    only: tuple[str, ...] = (),
) -> Report:
    """Run the kit on a fresh backend: the second one where the fault is in its code."""
    if fault is not None and fault.name in RULES:
        keys = {KEY: "we", OTHER_KEY: "they"}
        # What needs a key of containers is reached, too.
        with (
            _environment("ENVIRONMENT_API_KEY", _CONTAINER_KEY),
            served(keys, (fault.name,)) as url,
        ):
            return run_contract(
                url,
                api_key=KEY,
                other_key=OTHER_KEY,
                seed=seed,
                profile=profile,
                skip=skip,
                only=only,
            )
    with LocalBackend(api_key=KEY) as backend, FaultProxy(backend.url, fault, KEY) as proxy:
        return run_contract(
            proxy.url, api_key=KEY, seed=seed, profile=profile, skip=skip, only=only
        )


@contextlib.contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    former = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if former is None:
            del os.environ[name]
        else:
            os.environ[name] = former


def try_in_parts(name: str, seed: int, profile: str) -> Caught:
    """Run the parts of the kit that concern a fault, and more only if those do not catch it.

    First come the scenarios that speak about its operations and few others, then all of them, then
    the rest of the kit.
    """
    named = set(BY_NAME[name].named)
    far = tuple(
        one.id
        for one in all_scenarios()
        if named and (not named & set(one.operations) or len(one.operations) > _FEW)
    )
    for skip in ((*_OTHERS, *_WAITING, *far), _OTHERS, ()):
        caught = try_fault(name, seed, profile, skip)
        if caught.ok:
            break
    return caught


def try_fault(
    name: str,
    seed: int,
    profile: str,
    skip: tuple[str, ...] = (),
    only: tuple[str, ...] = (),
) -> Caught:
    """Run the kit on a backend with a fault."""
    fault, began = BY_NAME[name], time.monotonic()
    report = judge(fault, seed, profile, skip, only)
    right = [
        group
        for group in report.groups
        if not fault.named or set(group.operations) & set(fault.named)
    ]
    return Caught(
        name,
        report.exit_code,
        tuple(dict.fromkeys(group.first.check for group in right)),
        tuple(dict.fromkeys(op for group in report.groups for op in group.operations)),
        len(report.groups),
        time.monotonic() - began,
        report.summary,
    )


def try_clean(seed: int, profile: str) -> tuple[int, int, float, str]:
    began = time.monotonic()
    report = judge(None, seed, profile)
    said = [report.summary]
    said += [f"{g.first.check} of {', '.join(g.operations)}: {g.first.got}" for g in report.groups]
    return seed, report.exit_code, time.monotonic() - began, "; ".join(said)
