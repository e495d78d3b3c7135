"""Sizes as people write them on a command line: `10GiB`, `500MB`."""

from __future__ import annotations

import re

import click

_UNITS = {"": 1, "B": 1}
for _power, _letter in enumerate("KMGT", 1):
    _UNITS[f"{_letter}IB"] = 1024**_power
    _UNITS[f"{_letter}B"] = 1000**_power
_FORM = re.compile(r"([0-9]{1,15}) ?([KMGT]?I?B|)", re.IGNORECASE)


def bytes_of(_context: click.Context, _option: click.Parameter, text: str | None) -> int | None:
    """What an option says, as a click callback; None where it is not given."""
    if text is None:
        return None
    match = _FORM.fullmatch(text.strip())
    unit = None if match is None else _UNITS.get(match[2].upper())
    if match is None or unit is None or int(match[1]) == 0:
        raise click.BadParameter(
            f"{text!r} is no size: write a number above 0, with B, KiB, MiB, GiB or TiB (or KB, "
            "MB, GB, TB) behind it, like 10GiB"
        )
    return int(match[1]) * unit
