"""The table that a run prints, as Markdown."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version

from bench.cases import HTTPX, OLDER, OURS
from bench.timing import Result

_HEAD = ("", "bare httpx", "synth-pools", "promised", "synth-ai", "synth-pools : synth-ai")


def speed_rows(results: Iterable[Result]) -> list[tuple[str, ...]]:
    """Format the rows of speeds: how many times as fast as bare httpx."""
    rows: list[tuple[str, ...]] = []
    for case, seconds, ratios in results:
        older = ratios.get(OLDER)
        rows.append(
            (
                case.name,
                _time(seconds),
                _times(ratios[OURS]),
                "" if case.floor is None else f"≥ {case.floor:g}",
                "does not work" if older is None else _times(older),
                "" if older is None else f"{ratios[OURS] / older:.1f}",
            )
        )
    return rows


def cost_row(
    name: str, unit: str, taken: dict[str, float], *, most: float | None
) -> tuple[str, ...]:
    """Format a row of costs, where less is better: how many times what bare httpx takes."""
    bare, ours, older = taken[HTTPX], taken[OURS], taken.get(OLDER)
    return (
        name,
        _time(bare) if unit == "s" else f"{bare:.0f} {unit}",
        f"takes {ours / bare:.2f}",
        "" if most is None else f"≤ {most:g}",
        "" if older is None else f"takes {older / bare:.2f}",
        "" if older is None else f"{older / ours:.1f}",
    )


def growth_row(name: str, kib: float) -> tuple[str, ...]:
    """Format the row of the fleet, whose memory does not depend on its length."""
    return (name, "", f"grows by {max(0.0, kib):.0f} KiB in 100,000", "", "", "")


def render(rows: Sequence[tuple[str, ...]], head: tuple[str, ...] = _HEAD) -> str:
    table = [head, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(head))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in table
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def machine(names: Iterable[str] = ("synth-pools", "httpx", "httpcore", "synth-ai")) -> str:
    """Describe the time, the machine and the releases of the measurement."""
    packages = ", ".join(f"{name} {version(name)}" for name in names)
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {_processor()}, {os.cpu_count()} processors, "
        f"{platform.system()} {platform.machine()}, Python {platform.python_version()}; {packages}"
    )


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:  # noqa: PTH123 - a device, not a file
            for line in lines:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown processor"


def _times(ratio: float) -> str:
    return f"{ratio:.2f}"


def _time(seconds: float) -> str:
    return f"{seconds * 1e3:.2f} ms"
