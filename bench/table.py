"""The table that a run prints, as Markdown, and the page that has it."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

from bench.cases import AIOHTTP, HTTP_CLIENT, HTTPX, HTTPX2, OLDER, OURS
from bench.timing import Result

# The libraries of HTTP alone, beside bare httpx.
_OTHERS = (HTTPX2, AIOHTTP, HTTP_CLIENT)
_HEAD = ("", "bare httpx", "synth-pools", "promised", *_OTHERS, OLDER, f"{OURS} : {OLDER}")


_PAGE = """\
# What a call costs

`make bench` writes this page, and the rows of it that the README shows: the processor time that
bare httpx takes, and how many times as fast as that the client, other HTTP libraries alone and the
SDK before this one are. "takes" is the other way round: how much of httpx's time or memory is used,
and where httpx takes no part, of what the row names. Both clients go through engines of their own
over sockets, which need no more than the base install; [engines](../engines.md) says when which is
used.

{table}

Medians of {rounds} interleaved rounds. {machine}.

Missed promises: {missed}.
"""
_ROW = re.compile(r"^\| (.+?) *\|.*\|$", re.MULTILINE)
_NUMBER = re.compile(r"[\d.]+")


def speed_rows(results: Iterable[Result]) -> list[tuple[str, ...]]:
    """Format the rows of speeds, as multiples of the speed of bare httpx."""
    rows: list[tuple[str, ...]] = []
    for case, seconds, ratios in results:
        if not ratios:
            continue
        older = ratios.get(OLDER)
        rows.append(
            (
                case.name,
                _time(seconds[HTTPX]),
                _times(ratios[OURS]),
                "" if case.floor is None else f"≥ {case.floor:g}",
                *(_times(ratios[name]) if name in ratios else "" for name in _OTHERS),
                "" if older is None else _times(older),
                "" if older is None else f"{ratios[OURS] / older:.1f}",
            )
        )
    return rows


def cost_row(
    name: str, unit: str, costs: dict[str, float], *, limit: float | None
) -> tuple[str, ...]:
    """Format a row of costs, where less is better, as multiples of the cost of bare httpx."""
    bare, ours, older = costs[HTTPX], costs[OURS], costs.get(OLDER)
    others = (f"takes {costs[name] / bare:.2f}" if name in costs else "" for name in _OTHERS)
    return (
        name,
        _time(bare) if unit == "s" else f"{bare:.0f} {unit}",
        f"takes {ours / bare:.2f}",
        "" if limit is None else f"≤ {limit:g}",
        *others,
        "" if older is None else f"takes {older / bare:.2f}",
        "" if older is None else f"{older / ours:.1f}",
    )


def alone_row(
    name: str, value: str, promise: str = "", others: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """Format a row without a comparison to bare httpx."""
    cells = [(others or {}).get(contender, "") for contender in _OTHERS]
    return (name, "", value, promise, *cells, "", "")


def render(rows: Sequence[tuple[str, ...]], head: tuple[str, ...] = _HEAD) -> str:
    table = [head, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(head))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in table
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def page(rows: Sequence[tuple[str, ...]], rounds: int) -> str:
    """Write the page of a run."""
    missed = [f"`{row[0]}`" for row in rows if is_missed(row)]
    return _PAGE.format(
        table=render(rows), rounds=rounds, machine=machine(), missed=", ".join(missed) or "none"
    )


def is_missed(row: tuple[str, ...]) -> bool:
    """Check that a row misses its promise."""
    _, _, actual, promise, *_ = row
    if not promise:
        return False
    numbers = [_NUMBER.search(cell) for cell in (actual, promise)]
    value, limit = (float(number[0]) for number in numbers if number is not None)
    return value < limit if promise.startswith("≥") else value > limit


def with_rows(text: str, rows: Sequence[tuple[str, ...]]) -> str:
    """Return a text with new values in the rows of its table."""
    names = [name for name in _ROW.findall(text) if name in {row[0] for row in rows}]
    selection = [row for name in names for row in rows if row[0] == name]
    start = text.index(f"| {' ' * len(max(names, key=len))} | {_HEAD[1]}")
    end = text.index("\n\n", start)
    return text[:start] + render(selection) + text[end:]


def machine(names: Iterable[str] = (OURS, HTTPX, HTTPX2, AIOHTTP, OLDER)) -> str:
    """Describe the time, the machine and the releases of the measurement."""
    packages = ", ".join(f"{name} {_version(name)}" for name in names)
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {_processor()}, {os.cpu_count()} processors, "
        f"{platform.system()} {platform.machine()}, Python {platform.python_version()}; {packages}"
    )


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


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
