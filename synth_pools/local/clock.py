"""Timestamps as the API writes them: RFC 3339, UTC, microseconds, `Z`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def now() -> str:
    return _text(datetime.now(UTC))


def ago(seconds: float) -> str:
    """The moment that is so long past; the beginning of time where that is longer."""
    try:
        return _text(datetime.now(UTC) - timedelta(seconds=seconds))
    except OverflowError:
        return _text(datetime.min.replace(tzinfo=UTC))


def _text(moment: datetime) -> str:
    # Fixed width, so that timestamps also sort and compare as text.
    return f"{moment.replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def seconds_between(earlier: str, later: str) -> float:
    """Never negative: the system's clock may have been set back in between."""
    difference = datetime.fromisoformat(later) - datetime.fromisoformat(earlier)
    return max(0.0, difference.total_seconds())
