"""Timestamps as the API writes them: RFC 3339, UTC, microseconds, `Z`."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> str:
    # Fixed width, so that timestamps also sort and compare as text.
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def seconds_between(earlier: str, later: str) -> float:
    """Never negative: the system's clock may have been set back in between."""
    difference = datetime.fromisoformat(later) - datetime.fromisoformat(earlier)
    return max(0.0, difference.total_seconds())
