"""One call of each operation, and of each form of it that may be repeated differently."""

from __future__ import annotations

from typing import NamedTuple

from synth_pools_api.operations import OPERATIONS, Operation
from tests.support.surface import CALLS, LATER, Call, P, T


class Sample(NamedTuple):
    """`is_repeatable` is what the document says of the operation with this body."""

    operation: Operation
    call: Call
    is_repeatable: bool

    @property
    def keeps_keys(self) -> bool | None:
        """True if it is only repeated to a service that keeps idempotency keys."""
        return True if self.operation.retry == "with-key" else None

    def __str__(self) -> str:
        return f"{self.call.name}{'' if self.is_repeatable else '-once'}"


def _samples() -> list[Sample]:
    # Downloads answer bytes, and go on where they broke: they have tests of their own.
    calls = [*CALLS, *(call for call, _ in LATER)]
    first = {call.name: call for call in reversed(calls) if not call.is_stream}
    results = []
    for name, operation in sorted(OPERATIONS.items()):
        if name not in first or operation.retry == "with-id":
            continue
        # A rollout's creation carries a key in any case: the client makes one.
        results.append(Sample(operation, first[name], operation.retry != "never"))
    pool, task = OPERATIONS["create_pool"], OPERATIONS["create_task"]
    return [
        *results,
        Sample(pool, Call("create_pool", ({"name": "x"},)), False),
        Sample(pool, Call("create_pool", ({"name": "x", "id": None},)), False),
        Sample(pool, Call("create_pool", ({"name": "x", "pool_id": "mine"},)), True),
        Sample(pool, Call("create_pool", ({"name": "x", "id": "mine"},)), True),
        Sample(task, Call("create_task", (P, {"task_config": {}})), False),
        Sample(task, Call("create_task", (P, {"task_id": T})), True),
    ]


SAMPLES = _samples()

# One for each way in which operations may be repeated.
FEW = [
    sample
    for sample in SAMPLES
    if sample.call.name
    in (
        "get_pool",
        "update_pool",
        "create_rollout",
        "create_pool",
        "execute_pool_container_rollout",
    )
]
REPEATABLE = next(sample for sample in FEW if sample.is_repeatable)
ONCE = next(sample for sample in FEW if not sample.is_repeatable)
