"""Table of the verdicts, and the page that has the last one of each package."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from tests.mutants.changes import package_of
from tests.mutants.run import Verdict

_HEAD = "| package | mutants | killed | survived | killed, % | left out by rule | seed | on |"
_ROW = re.compile(r"^\| `(\S+)` \|(?: *\d+ \|){6} [\d-]+ \|$")
_SURVIVOR = re.compile(r"^(\S+\.py):\d+: .*$")


def rows_of(verdicts: Sequence[Verdict], left_out: Counter[str], seed: int) -> dict[str, str]:
    """Write a row for each package."""
    ran = Counter(package_of(verdict.planned.path) for verdict in verdicts)
    killed = Counter(package_of(verdict.planned.path) for verdict in verdicts if verdict.is_killed)
    day = datetime.now(UTC).date().isoformat()
    return {
        # The share is rounded down: 89.9 is not 90.
        name: f"| `{name}` | {count} | {killed[name]} | {count - killed[name]} "
        f"| {100 * killed[name] // count} | {left_out[name]} | {seed} | {day} |"
        for name, count in sorted(ran.items())
    }


def share_of(row: str) -> int:
    """Read the percentage of mutants that were killed."""
    return int(row.split("|")[5])


def table(rows: dict[str, str]) -> str:
    """Write rows as a table of Markdown."""
    return "\n".join(
        [_HEAD, "|---|" + "---:|" * 6 + "---|", *(rows[name] for name in sorted(rows))]
    )


def page(before: str, rows: dict[str, str], survivors: Sequence[str]) -> str:
    """Put rows and survivors into the page; those of other packages stay as they are."""
    lines = before.splitlines()
    former = {match[1]: match[0] for match in map(_ROW.match, lines) if match}
    others = [
        match[0]
        for match in map(_SURVIVOR.match, lines)
        if match and package_of(match[1]) not in rows
    ]
    text = "\n".join(sorted([*others, *survivors])) or "nothing"
    before, _, rest = before.partition(_HEAD)
    between = rest[rest.index("\n\n") :].partition("```text\n")[0]
    return f"{before}{table(former | rows)}{between}```text\n{text}\n```\n"


def line_of(verdict: Verdict) -> str:
    """Show a mutant on one line."""
    planned = verdict.planned
    return f"{planned.path}:{planned.mutant.line}: {planned.change}"
