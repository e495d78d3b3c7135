"""Lengths of time as people write them on a command line: `30d`, `12h`."""

from __future__ import annotations

import re

import click

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_FORM = re.compile(r"([0-9]{1,6})([smhdw])")


def seconds_of(_context: click.Context, _option: click.Parameter, text: str | None) -> float | None:
    """What an option says, as a click callback; None where it is not given."""
    if text is None:
        return None
    match = _FORM.fullmatch(text.strip())
    if match is None or int(match[1]) == 0:
        raise click.BadParameter(
            f"{text!r} is no length of time: write a number above 0 with s, m, h, d or w behind "
            "it, like 30d"
        )
    return float(int(match[1]) * _SECONDS[match[2]])
