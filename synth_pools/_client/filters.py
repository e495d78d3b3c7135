"""Filters and order of lists of rollouts, as query parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from synth_pools._client.arguments import query_int, query_text
from synth_pools.errors import RequestValidationError

_ORDER = {"sort": ("created", "reward", "duration", "cost"), "direction": ("desc", "asc")}


def checked_filters(filters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the filters of a list as query parameters.

    Raises:
        RequestValidationError: There is no such filter, or a value is none of its kind.
    """
    if not filters:
        return {}
    # Loads the dictionaries of all bodies of requests.
    from synth_pools.types import RolloutFilters

    names = RolloutFilters.__annotations__
    if unknown := filters.keys() - names.keys():
        raise RequestValidationError(
            f"a list has no filter {min(unknown)!r}; it has state, {', '.join(names)}"
        )
    checked: dict[str, Any] = {}
    for name, value in filters.items():
        if value is None:
            continue
        if name == "seed":
            checked[name] = query_int(value, name)
        elif name.endswith("_reward"):
            checked[name] = _number(value, name)
        elif isinstance(value, datetime):
            checked[name] = _time(value, name)
        else:
            checked[name] = query_text(value, name)
        if name in _ORDER and value not in _ORDER[name]:
            raise RequestValidationError(f"{name} must be one of {', '.join(_ORDER[name])}")
    return checked


def _number(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise RequestValidationError(f"{name} must be a finite number")
    return value


def _time(value: datetime, name: str) -> str:
    if value.tzinfo is None:
        raise RequestValidationError(f"{name} must have a time zone, such as datetime.UTC")
    return value.isoformat()
