"""Sample mutants of what changed since a revision, and print those that no test sees.

    python -m tests.mutants [--since REV | --everything] [--only PATH ...] [--sample 40]

Exit status 1 if fewer than 90 % are killed in one of the packages.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.mutants.changes import (
    ROOT,
    TESTS_OF,
    changed_lines,
    default_revision,
    is_mutated,
    mirrored_tests,
    package_of,
)
from tests.mutants.mutations import mutants_of
from tests.mutants.run import Planned, UnusableTestsError, Verdict, run_mutants


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    options = _options(arguments)
    try:
        changed = _lines(options, root)
        planned = sample(changed, options.sample, options.seed, root)
        if not planned:
            print("nothing that changed can be mutated")
            return 0
        print(f"{len(planned)} mutants, seed {options.seed}", file=sys.stderr, flush=True)
        verdicts = run_mutants(root, planned, options.jobs, lambda one: _tell(one, root))
    except (LookupError, UnusableTestsError) as error:
        print(f"make mutants: {error}", file=sys.stderr)
        return 2
    print("\n".join(report(verdicts, root)))
    return 1 if any(share < options.least for share in shares(verdicts).values()) else 0


def sample(
    changed: dict[str, set[int] | None], number: int, seed: int, root: Path = ROOT
) -> list[Planned]:
    """Choose mutants at random.

    Args:
        changed: The lines to mutate, by module; None means every line.
        number: At most as many are chosen.
        seed: The same seed chooses the same mutants of the same modules.
        root: The work tree.
    """
    everything = [
        (path, mutant)
        for path, lines in sorted(changed.items())
        for mutant in mutants_of((root / path).read_bytes(), lines)
    ]
    chosen = random.Random(seed).sample(everything, min(number, len(everything)))
    # Mutants with the same tests are next to each other: their time limit is measured once.
    return sorted(
        (Planned(path, mutant, tuple(mirrored_tests(path, root))) for path, mutant in chosen),
        key=lambda one: (one.tests, one.path, one.mutant.start),
    )


def shares(verdicts: Sequence[Verdict]) -> dict[str, float]:
    """Tell how many percent of the mutants of each package are killed."""
    ran = Counter(package_of(one.planned.path) for one in verdicts)
    killed = Counter(package_of(one.planned.path) for one in verdicts if one.is_killed)
    return {str(package): 100 * killed[package] / ran[package] for package in ran}


def report(verdicts: Sequence[Verdict], root: Path) -> list[str]:
    ran = Counter(package_of(one.planned.path) for one in verdicts)
    rows = [
        f"{package:22} {ran[package]:5} mutants, {share:3.0f} % killed"
        for package, share in sorted(shares(verdicts).items())
    ]
    survivors = [_line(one, root) for one in verdicts if not one.is_killed]
    return [*(["survivors:", *survivors, ""] if survivors else []), *rows]


def _line(verdict: Verdict, root: Path) -> str:
    planned = verdict.planned
    change = planned.mutant.describe((root / planned.path).read_bytes())
    return f"{planned.path}:{planned.mutant.line}: {change}"


def _tell(verdict: Verdict, root: Path) -> None:
    what = "killed  " if verdict.is_killed else "SURVIVED"
    print(f"{what} {verdict.seconds:4.0f} s  {_line(verdict, root)}", file=sys.stderr, flush=True)


def _lines(options: argparse.Namespace, root: Path) -> dict[str, set[int] | None]:
    found: dict[str, set[int] | None]
    if options.everything:
        paths = (
            path.relative_to(root).as_posix()
            for folder in TESTS_OF
            for path in (root / folder).rglob("*.py")
        )
        found = {path: None for path in paths if is_mutated(path)}
    else:
        found = {**changed_lines(options.since or default_revision(root), root)}
    only = tuple(options.only)
    return {path: lines for path, lines in found.items() if not only or path.startswith(only)}


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument(
        "--since", metavar="REV", help="what changed since then (the fork from main)"
    )
    parser.add_argument("--everything", action="store_true", help="every line, changed or not")
    parser.add_argument("--only", nargs="*", default=[], metavar="PATH", help="only what is below")
    parser.add_argument(
        "--sample", type=int, default=40, metavar="N", help="at most N mutants (40)"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--jobs", type=int, default=2, metavar="N", help="N test runs at a time (2)"
    )
    parser.add_argument("--least", type=float, default=90.0, metavar="PERCENT", help="to be killed")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    # Test runs are ended with it, whoever ends it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
