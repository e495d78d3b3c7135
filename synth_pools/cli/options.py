"""Values of options: durations (`30d`), sizes (`10GiB`), the default data directory."""

from __future__ import annotations

import functools
import math
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_DURATION = re.compile(r"([0-9]{1,6})([smhdw])")

_UNITS = {"": 1, "B": 1}
for _power, _letter in enumerate("KMGT", 1):
    _UNITS[f"{_letter}IB"] = 1024**_power
    _UNITS[f"{_letter}B"] = 1000**_power
_SIZE = re.compile(r"([0-9]{1,15}) ?([KMGT]?I?B|)", re.IGNORECASE)


class FilterOption(click.Option):
    """Option with one value: a further one is refused, not taken in place of the first."""

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:  # noqa: ARG002 - of click
        """Let the parser collect all values."""
        parser.add_option(self, self.opts, dest=self.name, action="append")

    def consume_value(self, ctx: click.Context, opts: Mapping[str, Any]) -> tuple[Any, Any]:
        """Return the value, if it is the only one."""
        value, source = super().consume_value(ctx, opts)
        if isinstance(value, list):
            if len(value) > 1:
                raise click.UsageError(f"{self.opts[0]} is given more than once", ctx)
            [value] = value
        return value, source


def seconds_of(_context: click.Context, _option: click.Parameter, text: str | None) -> float | None:
    """Convert a duration like `30d` to seconds; None if the option is omitted."""
    if text is None:
        return None
    match = _DURATION.fullmatch(text.strip())
    if match is None or int(match[1]) == 0:
        raise click.BadParameter(
            f"{text!r} is no length of time: write a number above 0 with s, m, h, d or w behind "
            "it, like 30d"
        )
    return float(int(match[1]) * _SECONDS[match[2]])


def moment_of(
    _context: click.Context, _option: click.Parameter, text: str | None
) -> datetime | None:
    """Convert a duration before now, or a time of ISO 8601, to a time; None without the option."""
    if text is None:
        return None
    if match := _DURATION.fullmatch(text.strip()):
        return datetime.now(UTC) - timedelta(seconds=int(match[1]) * _SECONDS[match[2]])
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is no time: write how long ago, like 10m, or 2026-01-31T12:00:00Z"
        ) from None
    return moment if moment.tzinfo else moment.astimezone()


def pattern_of(
    _context: click.Context, _option: click.Parameter, text: str | None
) -> re.Pattern[str] | None:
    """Compile a regular expression; None without the option."""
    try:
        return None if text is None else re.compile(text)
    except re.error as error:
        raise click.BadParameter(f"{text!r} is no regular expression: {error}") from None


def bytes_of(_context: click.Context, _option: click.Parameter, text: str | None) -> int | None:
    """Convert a size like `10GiB` to bytes; None if the option is omitted."""
    if text is None:
        return None
    match = _SIZE.fullmatch(text.strip())
    unit = None if match is None else _UNITS.get(match[2].upper())
    if match is None or unit is None or int(match[1]) == 0:
        raise click.BadParameter(
            f"{text!r} is no size: write a number above 0, with B, KiB, MiB, GiB or TiB (or KB, "
            "MB, GB, TB) behind it, like 10GiB"
        )
    return int(match[1]) * unit


def not_nan(_context: click.Context, _option: click.Parameter, value: float | None) -> float | None:
    """Refuse NaN, beside which nothing is worse, more or less; None without the option."""
    if value is not None and math.isnan(value):
        raise click.BadParameter("nan is no number")
    return value


def names_of(
    _context: click.Context, _option: click.Parameter, texts: tuple[str, ...]
) -> list[str]:
    """Split the values of a repeated option, each with one or more names between commas."""
    return [name.strip() for text in texts for name in text.split(",")]


def in_one_argument(
    command: Callable[..., Any],
    argument: str,
    build: Callable[..., object],
    names: Sequence[str],
    options: Iterable[Callable[[Any], Any]],
) -> Callable[..., Any]:
    """Add options to a command, which gets what is built of their values as one argument.

    Args:
        command: The command.
        argument: The argument.
        build: Called with the values by their names.
        names: The names of the options that it is built of; the others are arguments of their own.
        options: The options, in the order of the help.
    """

    @functools.wraps(command)
    def call(*arguments: Any, **values: Any) -> Any:
        chosen = {name: values.pop(name) for name in names}
        return command(*arguments, **{argument: build(**chosen)}, **values)

    decorated: Callable[..., Any] = call
    for option in reversed(list(options)):
        decorated = option(decorated)
    return decorated


def default_data_dir() -> Path:
    """Return the default data directory of `serve`; it may not exist yet."""
    if sys.platform == "darwin":
        return Path("~/Library/Application Support/synth-pools")
    base = os.environ.get("XDG_DATA_HOME", "")
    # The XDG specification says to ignore a relative path.
    return Path(base if Path(base).is_absolute() else "~/.local/share") / "synth-pools"
