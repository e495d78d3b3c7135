"""Faults of the later operations: validation, batches, replays, pauses, downloads."""

from __future__ import annotations

from .fault import Fault, Passing, answers, sibling
from .wire import Request, Response


async def _validated_and_created(
    request: Request, response: Response, passing: Passing
) -> Response:
    """What is valid is created as well."""
    value = response.json()
    if response.status == 200 and value["valid"]:
        await passing.ask(sibling(request, "POST", "/v1/rollouts", request.json()))
    return response


VALIDATION = [
    Fault(
        "validate_creates",
        "validate",
        ("validate_rollout",),
        ("validate_rollout",),
        after=_validated_and_created,
    ),
    Fault(
        "everything_is_valid",
        "validate",
        ("validate_rollout",),
        ("validate_rollout",),
        after=answers(lambda value: {**value, "valid": True, "errors": []}),
    ),
]

FAULTS = [*VALIDATION]
