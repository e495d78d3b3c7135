"""Validation of containers' answers against container.openapi.yaml.

Only the part that the document describes is looked at: an answer may be large and deeply nested,
and most of it has no schema here.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

from synth_pools.backend.domain.validation import Contract, cut
from synth_pools.spec import load_container_spec

OperationName = Literal["get_health", "run_rollout", "get_rollout", "get_rollout_events"]

# A reward is in an object of the answer.
_LEVELS = 2


def is_answer(operation: OperationName, document: Any, status: int = 200) -> bool:
    """Return True if a container's answer satisfies the document.

    Args:
        operation: The operation of container.openapi.yaml.
        document: The answer, parsed.
        status: The status of the answer.
    """
    contract = _contract()
    outline = cut(document, _LEVELS)
    return contract.answer_is_valid(contract.operations[operation], status, outline)


@cache
def _contract() -> Contract:
    return Contract(load_container_spec())
