"""Selections of operations, computed from the document.

A check names a kind of operations, so that it judges operations that the document gets later, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from synth_pools.contract.document import Operation

Selection = Callable[[Operation], bool]

_RESOURCES = frozenset({"pool_id", "task_id", "rollout_id"})
_DEFINITIONS = frozenset({"pools", "tasks"})


def select_operations(
    operations: Mapping[str, Operation], *subjects: str | Selection
) -> tuple[str, ...]:
    """Return the ids of operations that are named or selected, each once.

    Args:
        operations: The operations of a document.
        *subjects: Ids, which need not be in the document, and selections.
    """
    chosen: dict[str, None] = {}
    for subject in subjects:
        if isinstance(subject, str):
            chosen[subject] = None
        else:
            existing = operations.values()
            chosen.update((operation.id, None) for operation in existing if subject(operation))
    return tuple(chosen)


def every(_: Operation) -> bool:
    """Select all operations."""
    return True


def addresses(*names: str) -> Selection:
    """Return the selection of operations whose path has all of these ids."""
    return lambda operation: set(names) <= set(operation.id_names)


def addresses_resource(operation: Operation) -> bool:
    """Select operations whose path names a pool, a task or a rollout."""
    return not _RESOURCES.isdisjoint(operation.id_names)


def takes_body(operation: Operation) -> bool:
    """Select operations that take a JSON body."""
    return operation.request is not None


def reads(operation: Operation) -> bool:
    """Select operations that change nothing."""
    return operation.method == "GET"


def may_find_nothing(operation: Operation) -> bool:
    """Select operations on an artifact, a trajectory or an image release, which need not exist."""
    has_id = not {"artifact_path", "release_id"}.isdisjoint(operation.id_names)
    return has_id or operation.path.endswith("/trajectory")


def answers_itself(operation: Operation) -> bool:
    """Select reads that need no container, and whose resources every rollout has."""
    is_left_out = operation.streams or operation.tag == "containers" or may_find_nothing(operation)
    return reads(operation) and not is_left_out


def lists(operation: Operation) -> bool:
    """Select operations that answer with a page of a list."""
    return reads(operation) and operation.is_paged


def has_pages(operation: Operation) -> bool:
    """Select operations whose list comes in pages that a cursor leads through."""
    return lists(operation) and "cursor" in operation.query


def returns(*schemas: str) -> Selection:
    """Return the selection of operations that answer with one of these, or a list of them."""
    return lambda operation: operation.result in schemas or operation.item in schemas


def shows(*schemas: str) -> Selection:
    """Return the selection of operations that read one of these, or a list of them."""
    return lambda operation: reads(operation) and returns(*schemas)(operation)


def describes_rollout(operation: Operation) -> bool:
    """Select operations that describe rollouts in JSON, except their events."""
    # A rollout may have no trajectory.
    of_one = "rollout_id" in operation.id_names and operation.result not in ("", "Trajectory")
    return shows("Rollout")(operation) or (reads(operation) and of_one and not operation.streams)


def reads_one_rollout(operation: Operation) -> bool:
    """Select operations that describe in JSON the rollout that their path names."""
    return describes_rollout(operation) and "rollout_id" in operation.id_names


def streams_rollout(operation: Operation) -> bool:
    """Select operations that stream the events of one rollout."""
    return "rollout_id" in operation.id_names and operation.streams


def creates_rollout(operation: Operation) -> bool:
    """Select operations that create rollouts: only these take an idempotency key."""
    return "idempotency-key" in operation.headers


def places_rollout(operation: Operation) -> bool:
    """Select operations whose body names the pool of a rollout, or may hold any field."""
    any_field = takes_body(operation) and not operation.body_fields and not operation.id_names
    may_name_pool = "pool_id" in operation.body_fields or any_field
    return may_name_pool and operation.tag not in _DEFINITIONS


def runs_something(operation: Operation) -> bool:
    """Select operations that create a rollout, run one at a container, or validate one."""
    direct = operation.tag == "containers" and not reads(operation)
    return creates_rollout(operation) or places_rollout(operation) or direct


def changes_definition(operation: Operation) -> bool:
    """Select operations that change a pool or its tasks, but not the state of the pool."""
    of_pool = operation.tag in _DEFINITIONS and "pool_id" in operation.id_names
    removes_pool = operation.method == "DELETE" and operation.id_names == ("pool_id",)
    return of_pool and not (reads(operation) or removes_pool or moves_pool(operation))


def moves_pool(operation: Operation) -> bool:
    """Select operations that move a pool from one state to another: they take no body."""
    moves = operation.method == "POST" and not takes_body(operation)
    return moves and operation.result == "Pool"


def ordered(operations: Iterable[Operation]) -> list[Operation]:
    """Order operations so that each finds its resources: removals come last."""
    return sorted(
        operations,
        key=lambda operation: (
            not reads(operation),
            operation.method == "DELETE",
            -len(operation.id_names),
        ),
    )
