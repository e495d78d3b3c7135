"""A backend next to the container that it stands before: one run, one table.

python -m bench.backend [--rounds N] [--stored N] [--write FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

from bench.backend import measures, page, sharing
from bench.backend.load import IN_FLIGHT, Direct, Through, open_client, rate_of
from bench.backend.processes import Process, backend, container

_SLOW_SECONDS = 0.2


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.backend", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="how often each is measured")
    parser.add_argument("--few", type=int, default=1_000, help="rollouts in the one backend")
    parser.add_argument("--stored", type=int, default=100_000, help="rollouts in the other one")
    parser.add_argument(
        "--data",
        type=Path,
        default=Path("build"),
        help="a folder on a real disk, for the backends' data (build)",
    )
    parser.add_argument("--write", type=Path, metavar="FILE", help="also write the page there")
    options = parser.parse_args()
    results, disk = run(options.data, options.few, options.stored, max(1, options.rounds))
    text = page.text(results, disk)
    print(text)
    if options.write is not None:
        options.write.write_text(page.document(text))


def run(folder: Path, few_stored: int, stored: int, rounds: int) -> tuple[page.Found, page.Disk]:
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="bench-", dir=folder.absolute()) as data,
        container() as target,
        backend(Path(data) / "few") as few,
        backend(Path(data) / "many") as many,
    ):
        results = asyncio.run(_measure(target, few, many, few_stored, stored, rounds))
        return results, page.Disk.of(Path(data) / "many")


async def _measure(
    target: Process, few: Process, many: Process, few_stored: int, many_stored: int, rounds: int
) -> page.Found:
    started_at = time.monotonic()

    def tell(line: str) -> None:
        print(f"{time.monotonic() - started_at:5.0f} s  {line}", file=sys.stderr, flush=True)

    async with open_client() as client:
        direct = Direct(client, target)
        through_few, through_many = (Through(client, process, target) for process in (few, many))
        for contender in (through_few, through_many):
            await contender.open()
            await measures.fill(contender, few_stored)
        await rate_of(lambda: direct.run(0), 3 * IN_FLIGHT)  # opens its connections
        first_mib = many.resident_mib()
        tell(f"{few_stored:,} rollouts are in each backend")
        rate = await measures.fill(through_many, many_stored - few_stored)
        then_mib = many.resident_mib()
        tell(f"{many_stored:,} are in one of them, {rate:,.0f} a second")
        nothing = await measures.speed(direct, through_few, through_many, few, 0, rounds)
        tell("rollouts that do nothing")
        slow = await measures.speed(direct, through_few, through_many, few, _SLOW_SECONDS, rounds)
        tell(f"rollouts of {_SLOW_SECONDS:g} seconds")
        idle = await measures.admission(through_many, 60 * rounds, busy=False)
        busy = await measures.admission(through_many, 60 * rounds, busy=True)
        tell("admission")
        readers = await measures.readers(through_many, max(2, rounds // 2))
        tell("readers")
        pages = await measures.pages(through_many, 5 * rounds)
        tell("pages")
        followed = await sharing.following(through_few, few, max(2, rounds // 2))
        large = await sharing.large_pages(through_few, max(2, rounds // 2))
        tell("followers and large pages")
    return page.Found(
        few=few_stored,
        many=many_stored,
        rounds=rounds,
        seconds=time.monotonic() - started_at,
        fill_rate=rate,
        memory_mib=(first_mib, then_mib),
        nothing=nothing,
        slow=slow,
        idle=idle,
        busy=busy,
        readers=readers,
        pages=pages,
        followed=followed,
        large=large,
    )


if __name__ == "__main__":
    # A proxy for the outside world has no business here.
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]
    main()
