"""Answers of containers: their errors, states, and pages of events."""

from __future__ import annotations

import contextlib
from typing import Any

from synth_pools.backend.containers.http import (
    BrokenAnswerError,
    ConnectionFailedError,
    ShortageError,
)
from synth_pools.backend.containers.resolver import ForbiddenAddressError
from synth_pools.backend.domain import json_text
from synth_pools.backend.domain.errors import FORBIDDEN, SHORTAGE
from synth_pools.backend.domain.target import Answer, EventPage, TargetError

_EXCERPT = 1000
# Characters of a body in a message.
_QUOTED = 200
_LONGEST_ID = 255
_LARGEST_SEQUENCE = 2**63
# Largest number of values in the complete answer that another process returns.
MOST_WHOLE = 250_000
_STATE_NAMES = ("rollout_id", "status", "success_status")


def exchange_failure(error: Exception, url: str, cause: str) -> TargetError:
    """Describe a failed exchange; `cause` may quote the container's answer."""
    if isinstance(error, ForbiddenAddressError):
        details = {"url": url, "cause": FORBIDDEN}
        return TargetError("container_unreachable", cause, details)
    details = {"url": url, "cause": cause}
    if isinstance(error, ShortageError):
        message = f"The backend has no room for a connection to {url}."
        details = {"url": url, "cause": SHORTAGE}
        return TargetError("container_unreachable", f"{message} {cause}", details)
    if isinstance(error, ConnectionFailedError):
        return TargetError(
            "container_unreachable",
            f"No container answered at {url}.",
            details,
            nobody_listens=error.nobody_listens,
        )
    if isinstance(error, BrokenAnswerError) and error.too_large:
        message = (
            f"The container at {url} answered with {cause}: have it answer less, or start the "
            "backend with a larger --max-container-bytes."
        )
        return TargetError("container_bad_response", message, {"url": url})
    return TargetError(
        "container_bad_response",
        f"The container at {url} broke off before its answer was complete.",
        details,
    )


def parse_document(raw: bytes, most_values: int) -> Any:
    """Parse a complete answer."""
    return json_text.loads(raw, most_values=min(most_values, MOST_WHOLE))


def parse_state(raw: bytes, most_values: int) -> Any:
    """Parse an answer, and return the fields that hold the identity and the state of an object."""
    document = json_text.loads(raw, most_values=most_values)
    if not isinstance(document, dict):
        return None
    state = {name: document[name] for name in _STATE_NAMES if name in document}
    # Not decoded before, so invalid UTF-8 is found only here.
    return {
        name: value[:_LONGEST_ID] if isinstance(value, str) else None if value is None else []
        for name, value in state.items()
    }


def require_same_rollout(answer: Answer, rollout_id: str | None, url: str) -> None:
    """Refuse an answer for another rollout, whose result must not be stored for this one."""
    answered_id = answer.document.get("rollout_id")
    if answered_id is not None and answered_id != rollout_id:
        raise TargetError(
            "container_bad_response",
            f"The container at {url} answered for another rollout.",
            {"url": url, "rollout_id": str(answered_id)[:_LONGEST_ID]},
        )


def page_of(document: dict[str, Any], after: int) -> EventPage:
    """Return the events of a page that have a position after `after`, in order."""
    cursor = document.get("cursor")
    has_more = isinstance(cursor, dict) and cursor.get("has_more") is True
    events = [event for event in document["events"] if _sequence(event) > after]
    return EventPage(sorted(events, key=_sequence), has_more)


def _sequence(event: dict[str, Any]) -> int:
    """Return the position of an event; -1 if it has no position."""
    sequence = event.get("sequence")
    if not isinstance(sequence, int) or isinstance(sequence, bool):
        return -1
    return sequence if sequence < _LARGEST_SEQUENCE else -1


def start_as_text(raw: bytes) -> str:
    """Return the start of a body for a message, on one line; an empty text without one."""
    text = " ".join(raw[:_EXCERPT].decode("utf-8", "replace").split())
    text = f"{text[:_QUOTED]}..." if len(text) > _QUOTED else text
    return f": {text}" if text else ""


def start_of_body(raw: bytes) -> Any:
    """Return a body for the details of an error: parsed if it is short JSON, else its start."""
    if len(raw) <= _EXCERPT:
        with contextlib.suppress(json_text.BrokenJsonError):
            return json_text.loads(raw)
    return raw[:_EXCERPT].decode("utf-8", "replace")
