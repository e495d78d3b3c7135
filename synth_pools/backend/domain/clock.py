"""Clock and random numbers: the only source of both in the backend.

Callers use the module (`clock.monotonic()`), so that a test can replace `time_ns`, `monotonic`,
`new_id`, `token` or `jitter`. Timestamps have the format of the API: RFC 3339, UTC, microseconds,
`Z`.
"""

from __future__ import annotations

import random
import secrets
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from time import monotonic as monotonic
from time import time_ns as time_ns

# Not the random module's own generator, which the program may have seeded for itself.
_CHANCE = random.SystemRandom()


def unix_time() -> float:
    """Return the seconds since 1970 by the system's clock."""
    return time_ns() / 1e9


def now() -> str:
    """Return the timestamp of this moment."""
    # Each rollout needs several timestamps: without the cache they cost three times as much.
    second, microsecond = divmod(time_ns() // 1000, 1_000_000)
    return f"{_text_of_second(second)}.{microsecond:06d}Z"


@lru_cache(maxsize=4)
def _text_of_second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def ago(seconds: float) -> str:
    """Return the timestamp of a moment in the past; the earliest one if it would be before that."""
    try:
        return _text(datetime.fromtimestamp(unix_time(), UTC) - timedelta(seconds=seconds))
    except OverflowError:
        return _text(datetime.min.replace(tzinfo=UTC))


def _text(moment: datetime) -> str:
    # A fixed width, so that timestamps also sort and compare as text.
    return f"{moment.replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def seconds_between(earlier: str, later: str) -> float:
    """Return the seconds from one timestamp to another.

    The result is never negative, even if the system's clock was set back in between.
    """
    if earlier == later:
        return 0.0
    difference = datetime.fromisoformat(later) - datetime.fromisoformat(earlier)
    return max(0.0, difference.total_seconds())


def new_id(kind: str) -> str:
    """Return a unique id: the kind, `_`, and 32 hexadecimal digits."""
    return f"{kind}_{secrets.token_hex(16)}"


def token(size: int) -> str:
    """Return a secret of `size` random bytes, in hexadecimal digits."""
    return secrets.token_hex(size)


def url_safe_token(size: int) -> str:
    """Return a secret of `size` random bytes, in letters, digits, `-` and `_`."""
    return secrets.token_urlsafe(size)


def jitter(seconds: float) -> float:
    """Return a duration that differs from this one by at most a tenth."""
    return seconds * _CHANCE.uniform(0.9, 1.1)
