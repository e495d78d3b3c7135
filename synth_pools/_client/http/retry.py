"""Retry decisions: which request is sent again, and after how many seconds. No I/O, no clock.

A retry library is not used: it would contribute one multiplication. Whether a
repetition is safe depends on the operation, the answer, and whether the request left this machine;
the wait depends on `Retry-After` and on the time that remains for the call.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

from synth_pools.errors import APIConnectionError, APIStatusError, SynthPoolsError

SHORTEST_BACKOFF = 0.5
LONGEST_BACKOFF = 8.0
# If a service asks for a longer wait, the call fails instead of seeming to hang.
LONGEST_RETRY_AFTER = 60.0
# If it asks for a shorter one, or for none, the backoff applies: a wait that does not grow would
# cause a flood of requests.
SHORTEST_RETRY_AFTER = 0.1

# The service, or a proxy in front of it, failed for now; a later attempt may succeed.
RETRIED_STATUSES = frozenset({408, 429, 500, 502, 503, 504})

# Answers of a service from before an operation.
_NO_SUCH_OPERATION = frozenset({404, 405, 501})

# Answers that an earlier attempt with a lost answer may have caused.
_OWN_DOING = {("DELETE", 404), ("POST", 409)}


class AttemptOutcome(NamedTuple):
    """Outcome of an attempt.

    Attributes:
        status: Status of the answer; None without a complete answer.
        sent: Whether any of the request may have left this machine.
        retry_after: Seconds that the service asks to wait; None if it does not.
    """

    status: int | None = None
    sent: bool = True
    retry_after: float | None = None

    @property
    def changed_nothing(self) -> bool:
        """True if it is certain that the service did nothing."""
        if self.status is None:
            return not self.sent
        return self.status == 429 or (self.status == 503 and self.retry_after is not None)

    @property
    def may_pass(self) -> bool:
        """True if the same request may succeed later."""
        return self.status is None or self.status in RETRIED_STATUSES


def outcome_of(error: SynthPoolsError) -> AttemptOutcome:
    """Return the outcome of an attempt from the error that it raised."""
    if isinstance(error, APIStatusError):
        return AttemptOutcome(error.status_code, retry_after=error.retry_after)
    return AttemptOutcome(sent=error.sent if isinstance(error, APIConnectionError) else True)


def has_no_operation(error: SynthPoolsError) -> bool:
    """Check that an error means that the service does not know the operation."""
    return isinstance(error, APIStatusError) and error.status_code in _NO_SUCH_OPERATION


def offers(capabilities: Mapping[str, Any], feature: str) -> bool:
    """Check that the service offers a feature, by its answer to ``get_capabilities``."""
    features = capabilities.get("features")
    return isinstance(features, dict) and features.get(feature) is True


def note_lost_answer(error: SynthPoolsError, method: str, *, is_final: bool) -> None:
    """Add a note to the error of a call if an earlier attempt may have done what it asks for.

    Args:
        error: The error.
        method: Verb of the request.
        is_final: Whether the call was not repeated because the service keeps no idempotency keys.
    """
    if is_final:
        error.add_note(
            "it was not repeated, because the service does not offer idempotency_keys: an attempt "
            "whose answer was lost may have done it"
        )
    elif (method, getattr(error, "status_code", None)) in _OWN_DOING:
        error.add_note("an earlier attempt of this call may have done it; its answer was lost")


def is_repeatable(retry: str, *, has_key: bool = False, has_id: bool = False) -> bool:
    """Check that repeating a request has the same effect as sending it once.

    Args:
        retry: The operation's retry class, see *Repeating a request* in openapi.yaml.
        has_key: Whether the request carries an ``Idempotency-Key``.
        has_id: Whether the request's body chooses the id of the object that it creates.
    """
    return retry == "always" or (has_key and retry == "with-key") or (has_id and retry == "with-id")


def decide(
    outcome: AttemptOutcome,
    *,
    repeatable: bool,
    attempt: int,
    max_retries: int,
    random: Callable[[], float],
    remaining: float | None = None,
) -> float | None:
    """Return the seconds to wait before a request is sent again; None not to send it again.

    Args:
        outcome: Outcome of the last attempt.
        repeatable: See `is_repeatable`. Other requests are sent again only after an outcome that
            certainly changed nothing.
        attempt: Number of attempts, the last one included.
        max_retries: Number of attempts that may follow the first one.
        random: Returns numbers of [0, 1).
        remaining: Seconds that remain for the call; None for no limit.
    """
    if attempt > max_retries or not outcome.may_pass:
        return None
    if not (repeatable or outcome.changed_nothing):
        return None
    retry_after = outcome.retry_after
    if retry_after is not None and retry_after > LONGEST_RETRY_AFTER:
        return None
    wait = retry_after or 0.0
    if wait < SHORTEST_RETRY_AFTER:
        wait = max(wait, backoff(attempt, random))
    if remaining is not None and wait >= remaining:
        return None
    return wait


def backoff(attempt: int, random: Callable[[], float]) -> float:
    """Return the seconds to wait after the ``attempt``-th failure in a row, counted from 1.

    The wait is random between 0 and a ceiling, which doubles from 0.5 s to 8 s: clients that failed
    together do not retry together.
    """
    # A large exponent would overflow a float.
    ceiling = min(LONGEST_BACKOFF, SHORTEST_BACKOFF * 2.0 ** min(max(attempt, 1) - 1, 10))
    return ceiling * random()


def parse_retry_after(value: str | None, date: str | None = None) -> float | None:
    """Return the seconds to wait of a ``Retry-After`` header: a number of seconds or an HTTP date.

    Returns None without a valid value, and 0 for a date in the past.

    Args:
        value: The header.
        date: The ``Date`` header of the same answer. The clock of the service and that of this
            machine may differ by hours.
    """
    value = (value or "").strip()
    if re.fullmatch(r"[0-9]{1,15}(\.[0-9]{1,9})?", value):
        return float(value)
    moment, now = _timestamp(value), _timestamp(date or "")
    if moment is None:
        return None
    return max(0.0, moment - (time.time() if now is None else now))


def _timestamp(date: str) -> float | None:
    """Return the time of an HTTP date; None if it is not valid."""
    try:
        moment = parsedate_to_datetime(date)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
