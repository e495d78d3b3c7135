"""Result of the self-test as a page of the documentation."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tests.contract.faults import Fault

if TYPE_CHECKING:
    from tests.contract.selftest.runs import Caught
    from tests.contract.selftest.serving import Faultless

_HEAD = """# Faults that the contract kit sees

A reverse proxy puts one fault at a time between the kit and the running local backend. Faults of
the kind *rule not kept* are in code instead: a second backend, written from `openapi.yaml` alone
and without a look at the kit, leaves out one of its rules. The kit is given a URL and a key and
knows of neither. A fault is caught where the run ends with exit code 1 and names a right operation.
The checks that this page names for it go first, then the scenarios about its subject, then those
that speak about its operations, then all of them; what they see is not looked for with generated
requests, the state machine and the client as well (`--whole` does that).
Written by `make contract-selftest`.

"""


def read_checks(page: Path) -> Mapping[str, tuple[str, ...]]:
    """Read the checks that caught each fault from an earlier page."""
    text = page.read_text(encoding="utf-8") if page.exists() else ""
    by_fault = {}
    for line in text.splitlines():
        row = re.fullmatch(r"\| `([\w.]+)` \|.*\| ([^|]*) \|", line)
        if row is not None:
            by_fault[row[1]] = tuple(re.findall(r"`([\w.]+)`", row[2]))
    return by_fault


def write_tables(
    caught: Sequence[tuple[Fault, Caught]],
    clean: Sequence[Faultless],
    ways: Sequence[Faultless],
    profile: str,
    clean_profile: str,
) -> Iterator[str]:
    yield _HEAD
    ok_count = sum(result.ok for _, result in caught)
    yield f"{ok_count} of {len(caught)} faults caught and named, profile `{profile}`.\n\n"
    missed = [f"`{fault.name}`" for fault, result in caught if not result.ok]
    if missed:
        yield f"Missed: {', '.join(missed)}.\n\n"
    yield "| fault | kind | operation | caught by |\n|---|---|---|---|\n"
    for fault, result in caught:
        operations = ", ".join(f"`{name}`" for name in fault.operations) or "any of the path"
        checks = ", ".join(f"`{check}`" for check in result.checks[:3])
        if len(result.checks) > 3:
            checks += f" and {len(result.checks) - 3} more"
        remark = checks if result.ok else f"**missed**, exit {result.exit_code}"
        yield f"| `{fault.name}` | {fault.kind} | {operations} | {remark} |\n"
    if not clean:
        return
    passed = sum(run.exit_code == 0 for run in clean)
    slowest = max(run.seconds for run in clean)
    yield "\n## Without a fault\n\n"
    yield f"{passed} of {len(clean)} runs with different seeds, profile `{clean_profile}`, end "
    yield "with exit code 0"
    yield f" (seeds {clean[0].how} to {clean[-1].how}; the slowest took {slowest:.0f} s beside "
    yield "the other runs).\n"
    for run in clean:
        if run.exit_code != 0:
            yield f"\n- seed {run.how}: exit {run.exit_code}, {run.details}"
    yield "\n| served | exit code | seconds |\n|---|---|---|\n"
    for run in ways:
        remark = "" if run.exit_code == 0 else f": {run.details}"
        yield f"| {run.how} | {run.exit_code}{remark} | {run.seconds:.0f} |\n"
