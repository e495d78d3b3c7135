"""Self-test of the kit: every fault once, and a faultless backend many times.

`python -m tests.contract.selftest --help`; `make contract-selftest` runs all of it.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tests.contract.selftest.runs import BY_NAME, Caught, try_clean, try_fault, try_in_parts
from tests.contract.selftest.serving import BUSY_WAYS, SLOW_WAYS, WAYS, Faultless, try_way
from tests.contract.selftest.table import read_checks, write_tables

# Names the checks that caught each fault last time.
_PAGE = Path(__file__).resolve().parents[3] / "docs/results/contract-selftest.md"


def main(arguments: list[str] | None = None) -> int:
    args = _arguments(arguments)
    names = [name for name in BY_NAME if not args.only or name in args.only]
    unknown = set(args.only) - BY_NAME.keys()
    if unknown:
        print(f"no such fault: {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    before = read_checks(_PAGE)
    began = time.monotonic()
    caught: dict[str, Caught] = {}
    faultless: dict[str | int, Faultless] = {}
    # Separate processes: the engine of generated requests keeps state in its process.
    with ProcessPoolExecutor(args.jobs, mp_context=get_context("spawn")) as pool:
        # The longest first, so that others run while they wait, and the busy one last.
        ways = sorted(WAYS, key=lambda way: (way not in SLOW_WAYS, way in BUSY_WAYS))
        first, rest = (ways[: len(SLOW_WAYS)], ways[len(SLOW_WAYS) :]) if args.clean else ([], [])
        runs: list[Future[Any]] = [
            *(pool.submit(try_way, way, args.seed) for way in first),
            *(
                pool.submit(try_fault, name, args.seed + place, args.profile)
                if args.whole
                else pool.submit(
                    try_in_parts, name, args.seed + place, args.profile, before.get(name, ())
                )
                for place, name in enumerate(names)
            ),
            *(
                pool.submit(try_clean, args.seed + number, args.clean_profile)
                for number in range(args.clean)
            ),
            *(pool.submit(try_way, way, args.seed) for way in rest),
        ]
        for done in as_completed(runs):
            result = done.result()
            if isinstance(result, Caught):
                caught[result.fault] = result
                print(_line(result, len(caught), len(names)), flush=True)
            else:
                faultless[result.how] = result
                print(
                    f"no fault, {result.how}: exit {result.exit_code} in {result.seconds:.0f} s: "
                    f"{result.details}",
                    flush=True,
                )
    ordered = [(BY_NAME[name], caught[name]) for name in names]
    missed = [result for _, result in ordered if not result.ok]
    alarms = [run for run in faultless.values() if run.exit_code != 0]
    print(
        f"{len(ordered) - len(missed)} of {len(ordered)} faults caught and named, "
        f"{len(faultless) - len(alarms)} of {len(faultless)} faultless runs conform, "
        f"{(time.monotonic() - began) / 60:.0f} minutes"
    )
    if args.write is not None:
        args.write.write_text(
            "".join(
                write_tables(
                    ordered,
                    [faultless[args.seed + number] for number in range(args.clean)],
                    [faultless[way] for way in WAYS if way in faultless],
                    args.profile,
                    args.clean_profile,
                )
            )
        )
    return 1 if missed or alarms else 0


def _line(result: Caught, done: int, of: int) -> str:
    verdict = ", ".join(result.checks[:3]) if result.ok else f"MISSED ({result.summary})"
    return f"[{done}/{of}] {result.fault}: {verdict} ({result.seconds:.0f} s)"


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="contract-selftest", description=__doc__)
    parser.add_argument("--only", nargs="*", default=[], metavar="FAULT", help="these faults alone")
    # More than processors: every run mostly waits.
    parser.add_argument("--jobs", type=int, default=2 * (os.cpu_count() or 1))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--profile", choices=["quick", "full"], default="quick")
    parser.add_argument(
        "--whole",
        action="store_true",
        help="look for every fault with every part of the kit, also after the first has seen it",
    )
    parser.add_argument(
        "--clean",
        type=int,
        default=5,
        help="runs without a fault; 0 also leaves out those that are served in other ways",
    )
    parser.add_argument("--clean-profile", choices=["quick", "full"], default="full")
    parser.add_argument("--write", type=Path, help="where the tables go, as Markdown")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    # Objects for other processes need the module name under which these can import them.
    from tests.contract.selftest.__main__ import main as named_main

    sys.exit(named_main())
