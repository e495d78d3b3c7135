"""An option of `serve` for every limit that a backend has."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import click

from synth_pools.backend.limits import Limits

_SECONDS = "_seconds"


def limit_options(command: Callable[..., int]) -> Callable[..., int]:
    """Give the command the options, and their values in one argument, `limits`."""

    @functools.wraps(command)
    def with_limits(**options: Any) -> int:
        chosen = {field.name: options.pop(field.name) for field in fields(Limits)}
        return command(limits=Limits(**chosen), **options)

    decorated: Callable[..., int] = with_limits
    for field in reversed(fields(Limits)):
        is_time = field.name.endswith(_SECONDS)
        flag = field.name.removesuffix(_SECONDS).replace("_", "-")
        most = field.metadata["most"]
        decorated = click.option(
            f"--{flag}",
            field.name,
            type=click.FloatRange(min=0, min_open=True) if is_time else click.IntRange(1, most),
            default=field.default,
            show_default=True,
            metavar="SECONDS" if is_time else "N",
            help=field.metadata["help"],
        )(decorated)
    return decorated
