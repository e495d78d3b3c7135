"""Report of a run, as Markdown, and the page that shows the last one."""

from __future__ import annotations

import os
import textwrap
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench import table
from bench.backend.load import IN_FLIGHT, READERS
from bench.backend.measures import PAGE, Admission, Pages, Readers, Speed
from bench.backend.sharing import FOLLOWERS, PAGES_AT_ONCE, Following, LargePages

_HEAD = ("", "measured", "next to", "ratio", "promised")
_PACKAGES = ("synth-pools", "synth-containers", "uvicorn", "starlette", "aiohttp")
_FLUSHES = 50

_PAGE = """\
# What the local backend costs

`make bench-backend` starts a container made with synth-containers, whose rollout is an `async def`,
and two backends before it by `synth-pools serve`, each in a process of its own, their data on a
disk and flushed to it as in production (an admission or an outcome is on disk before anybody is
told of it). One client process makes the same calls on the container (`POST /rollouts`) and on a
backend (`POST /v1/pools/{id}/rollouts` with `mode: sync`), over the road that the async client of
this package takes. Each backend first ran as many rollouts as the table says, all of them in that
way; the first one's become more in the course of the run.

Whatever is compared is measured in turns, in short pieces, and a ratio is the median of those of
neighbours in time. Of rates more is better; "takes" is a time or a size, of which less is. The last
result, as it was printed:

{result}

A rollout that does nothing is all overhead: three processes share the processors, and the backend
alone admits it and writes down that it starts, calls the container, and writes down how it ended,
both times with what it tells in its event stream. Rollouts of 200 ms are bound by how many run at a
time: {in_flight}, which is {most} a second. They begin spread over that time, as those of a fleet
that has run for a while are.
"""


@dataclass(frozen=True)
class Disk:
    """Disk that held the data."""

    kind: str
    flush_ms: float
    bytes: int

    @classmethod
    def of(cls, data_dir: Path) -> Disk:
        measured = []
        with (data_dir / "flushed").open("wb") as file:
            for _ in range(_FLUSHES):
                file.write(b"x" * 4096)
                file.flush()
                started = time.perf_counter()
                os.fsync(file.fileno())
                measured.append(time.perf_counter() - started)
        size = sum(path.stat().st_size for path in data_dir.rglob("*") if path.is_file())
        return cls(_file_system(data_dir), median(measured) * 1e3, size)


@dataclass(frozen=True)
class Found:
    """Everything that one run measured."""

    few: int
    many: int
    rounds: int
    seconds: float
    fill_rate: float
    memory_mib: tuple[float, float]
    nothing: Speed
    slow: Speed
    idle: Admission
    busy: Admission
    readers: Readers
    pages: Pages
    followed: Following
    large: LargePages


def text(results: Found, disk: Disk) -> str:
    """Render the table and the notes below it."""
    words = (
        f"{IN_FLIGHT} rollouts in flight; medians of {results.rounds} interleaved rounds; the whole"
        f" run took {results.seconds:.0f} s, the {results.many:,} rollouts came at"
        f" {results.fill_rate:,.0f} a second. {table.machine(_PACKAGES)}; {disk.kind}, where a"
        f" flush takes {disk.flush_ms:.2f} ms."
    )
    return f"{table.render(list(_rows(results, disk)), _HEAD)}\n\n{textwrap.fill(words, 100)}"


def document(result: str) -> str:
    return (
        _PAGE.replace("{in_flight}", str(IN_FLIGHT))
        .replace("{most}", f"{IN_FLIGHT / 0.2:,.0f}")
        .replace("{result}", result)
    )


def _rows(results: Found, disk: Disk) -> Iterator[tuple[str, ...]]:
    for label, speed, floor in (
        ("rollouts that do nothing", results.nothing, 0.3),
        ("rollouts of 200 ms", results.slow, 0.9),
    ):
        yield (
            f"{label}, {results.few:,} stored",
            f"{speed.few:,.0f}/s",
            f"the container alone: {speed.direct:,.0f}/s",
            f"{speed.few_to_direct:.2f}",
            _promise(f"≥ {floor:g}", speed.few_to_direct >= floor),
        )
        times = 1 / speed.many_to_few
        yield (
            f"{label}, {results.many:,} stored",
            f"{speed.many:,.0f}/s",
            f"{results.few:,} stored: {speed.few:,.0f}/s",
            f"takes {times:.2f}",
            _promise("≤ 1.3", times <= 1.3),
        )
    for label, speed in (("does nothing", results.nothing), ("takes 200 ms", results.slow)):
        yield (
            f"the backend's processor time for one that {label}",
            f"{speed.processor_ms:.2f} ms",
            "",
            "",
            "",
        )
    for when, admission in (
        ("nothing else", results.idle),
        (f"{IN_FLIGHT} of 200 ms running", results.busy),
    ):
        for name, measured, health in (
            ("p50", admission.p50, admission.health_p50),
            ("p99", admission.p99, admission.health_p99),
        ):
            yield (
                f"admission, {when}, {name}",
                f"{measured:.2f} ms",
                f"GET /health: {health:.2f} ms",
                f"takes {measured / health:.1f}",
                "",
            )
    readers = results.readers
    yield (
        f"rollouts that do nothing, beside {READERS} live event readers",
        f"{readers.with_readers:,.0f}/s",
        f"no reader: {readers.without:,.0f}/s",
        f"{readers.ratio:.2f}",
        "",
    )
    yield (
        f"from an event to its reader, {readers.events:,} events, none lost",
        f"p50 {readers.delay_p50:.1f} ms",
        f"p99 {readers.delay_p99:.1f} ms",
        "",
        "",
    )
    followed = results.followed
    yield (
        f"processor time of an event that {FOLLOWERS} follow",
        f"{followed.followed_ms:.2f} ms",
        f"that nobody follows: {followed.alone_ms:.2f} ms",
        f"takes {followed.followed_ms / followed.alone_ms:.2f}",
        "",
    )
    yield (
        f"slowest GET /health beside {PAGES_AT_ONCE} clients that list 64 MiB",
        f"{results.large.beside:.0f} ms",
        f"beside nothing: {results.large.idle:.0f} ms",
        "",
        "",
    )
    before, after = results.memory_mib
    yield (
        f"memory of the backend after {results.many:,} rollouts",
        f"{after:.0f} MiB",
        f"after {results.few:,}: {before:.0f} MiB",
        f"takes {after / before:.2f}",
        "",
    )
    yield (
        f"page of {PAGE} at the end of {results.many:,}",
        f"{results.pages.last:.2f} ms",
        f"the first page: {results.pages.first:.2f} ms",
        f"takes {results.pages.ratio:.2f}",
        _promise("≤ 1.3", results.pages.ratio <= 1.3),
    )
    yield ("disk space of a rollout", f"{disk.bytes / results.many / 1024:.1f} KiB", "", "", "")


def _promise(words: str, holds: bool) -> str:
    return words if holds else f"{words}: missed"


def _file_system(path: Path) -> str:
    """Its type, of the mount that has the longest name in front of the path."""
    best, kind = "", "an unknown file system"
    try:
        mounts = Path("/proc/mounts").read_text(encoding="utf-8")
    except OSError:
        return kind
    for line in mounts.splitlines():
        _, place, type_, *_ = line.split()
        if len(place) >= len(best) and path.resolve().is_relative_to(place):
            best, kind = place, type_
    return kind
