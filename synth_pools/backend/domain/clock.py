"""The clock, and what is random: the one source of both for the whole backend.

Everybody asks through this module (`clock.monotonic()`), so that a test can put another source in
the place of `time_ns`, `monotonic`, `new_id`, `token` or `jitter`. Timestamps are as the API writes
them: RFC 3339, UTC, microseconds, `Z`.
"""

from __future__ import annotations

import random
import secrets
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from time import monotonic, time_ns

__all__ = [
    "ago",
    "jitter",
    "monotonic",
    "new_id",
    "now",
    "seconds_between",
    "time_ns",
    "token",
    "unix_time",
    "url_safe_token",
]

# The numbers of the random module are the program's, which may have seeded them for itself.
_CHANCE = random.SystemRandom()


def unix_time() -> float:
    """Return the seconds since 1970 by the system's clock."""
    return time_ns() / 1e9


def now() -> str:
    """Return the timestamp of this moment."""
    # Asked for several times by each rollout: a third of what putting all of it together costs.
    second, microsecond = divmod(time_ns() // 1000, 1_000_000)
    return f"{_text_of_second(second)}.{microsecond:06d}Z"


@lru_cache(maxsize=4)
def _text_of_second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def ago(seconds: float) -> str:
    """Return the timestamp of so many seconds ago; the earliest one where that is longer."""
    try:
        return _text(datetime.fromtimestamp(unix_time(), UTC) - timedelta(seconds=seconds))
    except OverflowError:
        return _text(datetime.min.replace(tzinfo=UTC))


def _text(moment: datetime) -> str:
    # Fixed width, so that timestamps also sort and compare as text.
    return f"{moment.replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def seconds_between(earlier: str, later: str) -> float:
    """Return the seconds from one timestamp to another.

    Never negative: the system's clock may have been set back in between.
    """
    if earlier == later:
        return 0.0
    difference = datetime.fromisoformat(later) - datetime.fromisoformat(earlier)
    return max(0.0, difference.total_seconds())


def new_id(kind: str) -> str:
    """Return an id that nothing else has: the kind, `_`, and 32 hexadecimal digits."""
    return f"{kind}_{secrets.token_hex(16)}"


def token(size: int) -> str:
    """Return a secret of so many random bytes, in hexadecimal digits."""
    return secrets.token_hex(size)


def url_safe_token(size: int) -> str:
    """Return a secret of so many random bytes, in letters, digits, `-` and `_`."""
    return secrets.token_urlsafe(size)


def jitter(seconds: float) -> float:
    """Return a length of time at most a tenth away from this one."""
    return seconds * _CHANCE.uniform(0.9, 1.1)
