"""Sample mutants of the lines changed since a revision, and print the mutants that no test sees.

    python -m tests.mutants [--since REV | --all] [--only PATH ...] [--sample 20] [--write FILE]

Exit status 1 if fewer than 90 % are killed in one of the packages.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import signal
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.mutants.changes import ROOT, TESTS_OF, changed_lines, is_mutated, modules_of, package_of
from tests.mutants.mutations import mutants_of
from tests.mutants.run import Planned, Verdict, run_mutants

_HEAD = "| package | mutants | killed | survived | killed, % | left out by rule | seed | on |"
_ROW = re.compile(r"^\| `(\S+)` \|(?: *\d+ \|){6} [\d-]+ \|$")
_SURVIVOR = re.compile(r"^(\S+\.py):\d+: .*$")


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    options = _options(arguments)
    try:
        planned, left_out = sample(_lines(options, root), options.sample, options.seed, root)
        if not planned:
            print("nothing that changed can be mutated")
            return 0
        print(f"{len(planned)} mutants, seed {options.seed}", file=sys.stderr, flush=True)
        verdicts = []
        for verdict in run_mutants(root, planned, options.jobs, options.budget):
            outcome = "killed  " if verdict.is_killed else "SURVIVED"
            line = f"{outcome} {verdict.seconds:4.0f} s  {verdict.planned}  ({verdict.reason})"
            print(line, file=sys.stderr, flush=True)
            verdicts.append(verdict)
    except LookupError as error:
        print(f"make mutants: {error}", file=sys.stderr)
        return 2
    rows = rows_of(verdicts, left_out, options.seed)
    survivors = [str(verdict.planned) for verdict in verdicts if not verdict.is_killed]
    print("\n".join([*(["survivors:", *survivors, ""] if survivors else []), table(rows)]))
    if options.write:
        before = options.write.read_text(encoding="utf-8") if options.write.exists() else ""
        options.write.write_text(page(before, rows, survivors), encoding="utf-8")
    return int(any(int(row.split("|")[5]) < options.least for row in rows.values()))


def sample(
    changed: Mapping[str, set[int] | None], number: int, seed: int, root: Path = ROOT
) -> tuple[list[Planned], Counter[str]]:
    """Choose a number of mutants of each package, and count the mutants that need no test.

    The same seed chooses the same mutants of the same lines, whatever changes around them. None
    means all lines of a module.
    """
    tickets: dict[str, dict[bytes, Planned]] = defaultdict(dict)
    left_out: Counter[str] = Counter()
    for path, lines in sorted(changed.items()):
        source = (root / path).read_bytes()
        texts = source.splitlines()
        for mutant in mutants_of(source, lines):
            if mutant.rule:
                left_out[package_of(path)] += 1
                continue
            change = mutant.describe(source)
            key = f"{seed} {path} {texts[mutant.line - 1].strip()!r} {change}"
            ticket = hashlib.sha256(key.encode()).digest()
            tickets[package_of(path)][ticket] = Planned(path, mutant, change)
    chosen = [drawn[ticket] for drawn in tickets.values() for ticket in sorted(drawn)[:number]]
    return sorted(chosen, key=lambda planned: (planned.path, planned.mutant.start)), left_out


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


def table(rows: dict[str, str]) -> str:
    """Write rows as a table of Markdown."""
    return "\n".join(
        [_HEAD, "|---|" + "---:|" * 6 + "---|", *(rows[name] for name in sorted(rows))]
    )


def page(before: str, rows: dict[str, str], survivors: Sequence[str]) -> str:
    """Put rows and survivors into the page; rows and survivors of other packages stay."""
    lines = before.splitlines()
    former = {match[1]: match[0] for match in map(_ROW.match, lines) if match}
    matches = map(_SURVIVOR.match, lines)
    others = [match[0] for match in matches if match and package_of(match[1]) not in rows]
    text = "\n".join(sorted([*others, *survivors])) or "nothing"
    before, _, rest = before.partition(_HEAD)
    between = rest[rest.index("\n\n") :].partition("```text\n")[0]
    return f"{before}{table(former | rows)}{between}```text\n{text}\n```\n"


def _lines(options: argparse.Namespace, root: Path) -> dict[str, set[int] | None]:
    lines: dict[str, set[int] | None]
    if options.all:
        paths = (path for room in TESTS_OF for path in modules_of(room, root))
        lines = {path: None for path in paths if is_mutated(path)}
    else:
        lines = {**changed_lines(options.since, root)}
    only = tuple(options.only) or ("",)
    return {path: lines[path] for path in lines if path.startswith(only)}


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    add = parser.add_argument
    add("--since", metavar="REV", help="lines changed since then (the fork from main)")
    add("--all", action="store_true", help="every line, changed or not")
    add("--only", nargs="*", default=[], metavar="PATH", help="only modules below")
    add("--sample", type=int, default=20, metavar="N", help="at most N mutants of a package (20)")
    add("--seed", type=int, default=1)
    add("--jobs", type=int, default=2, metavar="N", help="N test runs at a time (2)")
    add("--budget", type=float, default=20, metavar="SECONDS", help="of tests for a mutant (20)")
    add("--least", type=float, default=90.0, metavar="PERCENT", help="to be killed (90)")
    add("--write", type=Path, metavar="FILE", help="also write the table there")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    # An interrupt ends the test runs as well.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
