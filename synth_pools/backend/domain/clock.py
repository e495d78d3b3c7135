"""Clock and random numbers: the only source of both in the backend.

Callers use the module (`clock.monotonic()`), so that a test can replace `time_ns`, `monotonic`,
`new_id`, `token`, `drawn` or `jitter`. Timestamps have the format of the API: RFC 3339, UTC,
microseconds, `Z`.
"""

from __future__ import annotations

import os
import random
import secrets
from datetime import UTC, datetime
from functools import lru_cache
from time import monotonic as monotonic
from time import time_ns as time_ns

# The first second of the year 1.
_EARLIEST = -62_135_596_800
# Not the random module's own generator, which the program may have seeded for itself.
_CHANCE = random.SystemRandom()


def unix_time() -> float:
    """Return the seconds since 1970 by the system's clock."""
    return time_ns() / 1e9


def now() -> str:
    """Return the timestamp of this moment by the system's clock."""
    return timestamp(unix_time())


def timestamp(seconds: float) -> str:
    """Return the timestamp of a moment in seconds since 1970; the earliest one if it is before.

    Timestamps have a fixed width, so that they sort and compare as text.
    """
    second, microsecond = divmod(int(max(seconds, _EARLIEST) * 1_000_000), 1_000_000)
    # Each rollout needs several timestamps: without the cache they cost three times as much.
    return f"{_text_of_second(second)}.{microsecond:06d}Z"


@lru_cache(maxsize=4)
def _text_of_second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat()[:19]


def normalized(text: str) -> str:
    """Return a time of RFC 3339 as a timestamp; raise ValueError if there is no such time."""
    try:
        moment = datetime.fromisoformat(text.upper()).astimezone(UTC)
    except OverflowError as error:
        raise ValueError(str(error)) from None
    return f"{moment.isoformat(timespec='microseconds')[:26]}Z"


def seconds_between(earlier: str, later: str) -> float:
    """Return the seconds from one timestamp to another.

    The result is never negative, even if the system's clock was set back in between.
    """
    if earlier == later:
        return 0.0
    difference = datetime.fromisoformat(later) - datetime.fromisoformat(earlier)
    return max(0.0, difference.total_seconds())


def new_id(kind: str) -> str:
    """Return a unique id: the kind, `_`, and 32 hexadecimal digits, twelve of them the time.

    Ids of the same time are neighbours in an index, where random ones are all over it.
    """
    return f"{kind}_{time_ns() // 1_000_000:012x}{os.urandom(10).hex()}"


def token(size: int) -> str:
    """Return a secret of `size` random bytes, in hexadecimal digits."""
    return secrets.token_hex(size)


def url_safe_token(size: int) -> str:
    """Return a secret of `size` random bytes, in letters, digits, `-` and `_`."""
    return secrets.token_urlsafe(size)


def drawn(numbers: range, most: int) -> list[int]:
    """Return some of these numbers by chance, each at most once."""
    return _CHANCE.sample(numbers, min(most, len(numbers)))


def jitter(seconds: float) -> float:
    """Return a duration that differs from this one by at most a tenth."""
    return seconds * _CHANCE.uniform(0.9, 1.1)
