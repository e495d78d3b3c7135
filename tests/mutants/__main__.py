"""Sample mutants of what changed since a revision, and print those that no test sees.

    python -m tests.mutants [--since REV | --all] [--only PATH ...] [--sample 20] [--write FILE]

Exit status 1 if fewer than 90 % are killed in one of the packages.
"""

from __future__ import annotations

import argparse
import hashlib
import signal
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.mutants.changes import ROOT, TESTS_OF, changed_lines, is_mutated, modules_of, package_of
from tests.mutants.coverage_map import UnusableTestsError
from tests.mutants.mutations import mutants_of
from tests.mutants.report import line_of, page, rows_of, share_of, table
from tests.mutants.run import Planned, Verdict, run_mutants


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    options = _options(arguments)
    try:
        planned, left_out = sample(_lines(options, root), options.sample, options.seed, root)
        if not planned:
            print("nothing that changed can be mutated")
            return 0
        print(f"{len(planned)} mutants, seed {options.seed}", file=sys.stderr, flush=True)
        verdicts = [*_verdicts(root, planned, options)]
    except (LookupError, UnusableTestsError) as error:
        print(f"make mutants: {error}", file=sys.stderr)
        return 2
    rows = rows_of(verdicts, left_out, options.seed)
    survivors = [line_of(verdict) for verdict in verdicts if not verdict.is_killed]
    print("\n".join([*(["survivors:", *survivors, ""] if survivors else []), table(rows)]))
    if options.write:
        before = options.write.read_text(encoding="utf-8") if options.write.exists() else ""
        options.write.write_text(page(before, rows, survivors), encoding="utf-8")
    return 1 if any(share_of(row) < options.least for row in rows.values()) else 0


def _verdicts(root: Path, planned: list[Planned], options: argparse.Namespace) -> Iterator[Verdict]:
    def warn(name: str) -> None:
        print(f"fails without a mutant: {name}", file=sys.stderr, flush=True)

    for verdict in run_mutants(root, planned, options.jobs, options.budget, warn):
        outcome = "killed  " if verdict.is_killed else "SURVIVED"
        line = f"{outcome} {verdict.seconds:4.0f} s  {line_of(verdict)}  ({verdict.reason})"
        print(line, file=sys.stderr, flush=True)
        yield verdict


def sample(
    changed: Mapping[str, set[int] | None], number: int, seed: int, root: Path = ROOT
) -> tuple[list[Planned], Counter[str]]:
    """Choose a number of mutants of each package, and count those that need no test.

    The same seed chooses the same mutants of the same lines, whatever changes around them. None in
    the place of lines means all lines of a module.
    """
    tickets: dict[str, list[tuple[bytes, Planned]]] = defaultdict(list)
    left_out: Counter[str] = Counter()
    for path, lines in sorted(changed.items()):
        source = (root / path).read_bytes()
        texts = source.splitlines()
        repeated: Counter[str] = Counter()
        for mutant in mutants_of(source, lines):
            if mutant.rule:
                left_out[package_of(path)] += 1
                continue
            change = mutant.describe(source)
            key = f"{path} {texts[mutant.line - 1].strip()!r} {change}"
            repeated[key] += 1
            ticket = hashlib.sha256(f"{seed} {repeated[key]} {key}".encode()).digest()
            tickets[package_of(path)].append((ticket, Planned(path, mutant, change)))
    chosen = [
        planned
        for drawn in tickets.values()
        for _, planned in sorted(drawn, key=lambda pair: pair[0])[:number]
    ]
    return sorted(chosen, key=lambda planned: (planned.path, planned.mutant.start)), left_out


def _lines(options: argparse.Namespace, root: Path) -> dict[str, set[int] | None]:
    result: dict[str, set[int] | None]
    if options.all:
        paths = (path for room in TESTS_OF for path in modules_of(room, root))
        result = {path: None for path in paths if is_mutated(path)}
    else:
        result = {**changed_lines(options.since, root)}
    only = tuple(options.only)
    return {path: lines for path, lines in result.items() if not only or path.startswith(only)}


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    add = parser.add_argument
    add("--since", metavar="REV", help="what changed since then (the fork from main)")
    add("--all", action="store_true", help="every line, changed or not")
    add("--only", nargs="*", default=[], metavar="PATH", help="only what is below")
    add("--sample", type=int, default=20, metavar="N", help="at most N mutants of a package (20)")
    add("--seed", type=int, default=1)
    add("--jobs", type=int, default=2, metavar="N", help="N test runs at a time (2)")
    add("--budget", type=float, default=20, metavar="SECONDS", help="of tests for a mutant (20)")
    add("--least", type=float, default=90.0, metavar="PERCENT", help="to be killed (90)")
    add("--write", type=Path, metavar="FILE", help="also put the result there")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    # Test runs are ended with it, whatever ends it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
