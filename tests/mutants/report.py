"""The table of what became of mutants, and the page that keeps the last one of each package."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from datetime import UTC, datetime

from tests.mutants.changes import package_of
from tests.mutants.run import Verdict

_PAGE = """\
# Mutation tests

`make mutants MUTANTS_OPTIONS='--all --sample 20'` changes hand-written code at random, one small
change at a time, and the sync variant that is derived from it with it. It runs tests that ran the
changed line: as many as took 20 seconds together when they were measured, or as `--budget` says.
For each line of its function one that runs it comes first, and those that name a constant that is
changed, then some for each line that sets what it reads and for each of the functions of other
modules that it calls or that use what it sets, then the module's own, then those of many files. A
change is killed if one of them fails that passes without it, or if because of it none begins or
they do not end. What was killed before is not tried again where its module and the file of the test
that killed it are as they were: `.mutants-cache` knows. `--only PATH` does it for some packages,
`--seed N` makes other changes, and `--write FILE` puts the result here, where the rows of other
packages stay as they are.

The tests are those of `make test`, but for places that these cannot reach: the PostgreSQL database
has those of `tests/postgres`, on a server, the module that starts containers of images those of
`tests/oci`, on a container engine, contents in a bucket those of `tests/s3`, and benchmarks and
generators those of `make test-system`, too.

The scenarios and the state machines of the contract kit are left out. They are tests of backends
themselves: [faults that are planted in a backend](contract-selftest.md) try what they see. What
runs containers on a Ray cluster is left out, too: its tests need a cluster and an environment of
their own.

Each row is of the day when its package was tried, and of the tests that there were then. On a busy
machine tests took longer when they were measured, so that fewer of them are run and more changes
survive. A package without a row has not been tried since its code last changed much. What no test
has to see is left out by rules, which `tests/mutants/mutations.py` has; it is counted over the
whole package, not over the sample.

{table}

## What no test saw

Some of these change nothing that can be seen from outside.

```text
{survivors}
```
"""
_COLUMNS = "package", "mutants", "killed", "survived", "killed, %", "left out by rule", "seed", "on"
_ROW = re.compile(r"^\| `(\S+)` \|" + r" *(\d+) \|" * 6 + r" ([\d-]+) \|$")
_SURVIVOR = re.compile(r"^(\S+\.py):\d+: .*$")


@dataclass(frozen=True)
class Row:
    """Counts of the mutants of a package."""

    package: str
    ran: int
    killed: int
    survived: int
    share: int
    left_out: int
    seed: int
    day: str


def rows_of(verdicts: Sequence[Verdict], left_out: Counter[str], seed: int) -> list[Row]:
    """Count the mutants of each package."""
    ran = Counter(package_of(one.planned.path) for one in verdicts)
    killed = Counter(package_of(one.planned.path) for one in verdicts if one.is_killed)
    day = datetime.now(UTC).date().isoformat()
    return [
        Row(
            name,
            number,
            killed[name],
            number - killed[name],
            # Rounded down: 89.9 is not 90.
            100 * killed[name] // number,
            left_out[name],
            seed,
            day,
        )
        for name, number in sorted(ran.items())
    ]


def table(rows: Sequence[Row]) -> list[str]:
    """Write the rows as a table of Markdown."""
    return [
        "| " + " | ".join(_COLUMNS) + " |",
        "|---|" + "---:|" * 6 + "---|",
        *(
            "| " + " | ".join([f"`{row.package}`", *map(str, astuple(row)[1:])]) + " |"
            for row in rows
        ),
    ]


def page(before: str, rows: Sequence[Row], survivors: Sequence[str]) -> str:
    """Write the page anew; packages that are not in `rows` stay as they are in `before`."""
    kept = {
        found[1]: Row(
            package=found[1],
            ran=int(found[2]),
            killed=int(found[3]),
            survived=int(found[4]),
            share=int(found[5]),
            left_out=int(found[6]),
            seed=int(found[7]),
            day=found[8],
        )
        for found in map(_ROW.match, before.splitlines())
        if found
    }
    merged = {**kept, **{row.package: row for row in rows}}
    anew = {row.package for row in rows}
    lines = [
        found[0]
        for found in map(_SURVIVOR.match, before.splitlines())
        if found and package_of(found[1]) not in anew
    ]
    return _PAGE.format(
        table="\n".join(table([merged[name] for name in sorted(merged)])),
        survivors="\n".join(sorted([*lines, *survivors])) or "nothing",
    )


def line_of(verdict: Verdict) -> str:
    """Show a mutant on one line."""
    planned = verdict.planned
    return f"{planned.path}:{planned.mutant.line}: {planned.change}"
