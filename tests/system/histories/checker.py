"""Linearizability of a history of concurrent operations on one object.

The search of Wing and Gong ("Testing and verifying concurrent objects", 1993) with the memory of
Lowe ("Testing for linearizability", 2017): operations are put in an order in which each takes
effect between its call and its return, and no state is tried twice after the same operations.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

S = TypeVar("S", bound=Hashable)


@dataclass(frozen=True)
class Operation:
    """Operation in the records of its client.

    Args:
        name: Name of the operation.
        argument: Its argument.
        answer: Its answer; None if it is unknown, and the operation may have taken effect or not.
        called: Time of the call, in seconds of one clock for all.
        returned: Time of the answer; infinity without one.
    """

    name: str
    argument: Any
    answer: Any
    called: float
    returned: float = math.inf

    @property
    def is_known(self) -> bool:
        """True where an answer came."""
        return self.returned < math.inf


class Model(Generic[S]):
    """Behaviour of an object whose operations are sequential.

    Args:
        initial: Its first state.
        step: The possible states after an operation with this answer; none if the answer is
            impossible.
    """

    def __init__(self, initial: S, step: Callable[[S, Operation], Iterable[S]]) -> None:
        self.initial = initial
        self.step = step

    def after(self, states: frozenset[S], operation: Operation) -> frozenset[S]:
        """Return the states after an operation that came in any of these."""
        return frozenset(new for state in states for new in self.step(state, operation))


@dataclass
class Refutation:
    """Longest explanation of a history that has no complete one.

    Args:
        order: The longest possible order of operations.
        stuck: The next operation that returned; it does not fit.
        states: The possible states of the object after that order.
    """

    order: list[Operation]
    stuck: Operation
    states: frozenset[Any]

    def __str__(self) -> str:
        stuck = self.stuck
        last = "".join(
            f"\n  {entry.name} {entry.argument} -> {entry.answer}" for entry in self.order[-6:]
        )
        return (
            f"{stuck.name} {stuck.argument} cannot have been answered with {stuck.answer}: after"
            f"{last}\nthe state is {' or '.join(sorted(map(str, self.states)))}"
        )


@dataclass(eq=False)
class _Entry:
    """The call or the return of an operation, in a list that calls are lifted from and put back."""

    number: int
    operation: Operation
    is_call: bool
    match: _Entry | None = None
    before: _Entry | None = field(default=None, repr=False)
    after: _Entry | None = field(default=None, repr=False)

    def lift(self) -> None:
        """Take it and its return out of the list."""
        for entry in self._both():
            assert entry.before is not None
            entry.before.after = entry.after
            if entry.after is not None:
                entry.after.before = entry.before

    def put_back(self) -> None:
        """Put both back to where they were."""
        for entry in reversed(self._both()):
            assert entry.before is not None
            entry.before.after = entry
            if entry.after is not None:
                entry.after.before = entry

    def _both(self) -> list[_Entry]:
        return [self] if self.match is None else [self, self.match]


def _entries(history: Sequence[Operation]) -> _Entry:
    """Return the head of the list of calls and returns, in the order of time."""
    entries: list[tuple[float, bool, _Entry]] = []
    for number, operation in enumerate(history):
        call = _Entry(number, operation, is_call=True)
        entries.append((operation.called, False, call))
        if operation.is_known:
            call.match = _Entry(number, operation, is_call=False)
            entries.append((operation.returned, True, call.match))
    # Simultaneous operations may have overlapped: calls come before returns.
    entries.sort(key=lambda entry: entry[:2])
    head = last = _Entry(-1, Operation("", None, None, -math.inf), is_call=False)
    for _, _, entry in entries:
        last.after, entry.before = entry, last
        last = entry
    return head


def refute(history: Sequence[Operation], model: Model[S]) -> Refutation | None:
    """Look for an order of the operations that explains all answers.

    Args:
        history: The operations on one object.
        model: The behaviour of the object.

    Returns:
        None if there is such an order, else the reason against it.
    """
    head = _entries(history)
    remaining = sum(operation.is_known for operation in history)
    states, done = frozenset({model.initial}), 0
    tried: set[tuple[int, frozenset[S]]] = set()
    order: list[tuple[_Entry, frozenset[S]]] = []
    longest: Refutation | None = None
    entry = head.after
    while remaining:
        if entry is not None and entry.is_call:
            new = model.after(states, entry.operation)
            trial = (done | 1 << entry.number, new)
            if new and trial not in tried:
                tried.add(trial)
                order.append((entry, states))
                done, states = trial
                remaining -= entry.operation.is_known
                entry.lift()
                entry = head.after
            else:
                entry = entry.after
            continue
        # Its call has to come before everything that follows, and does not fit.
        if entry is not None and (longest is None or len(order) >= len(longest.order)):
            longest = Refutation([entry.operation for entry, _ in order], entry.operation, states)
        if not order:
            assert longest is not None
            return longest
        last, states = order.pop()
        done &= ~(1 << last.number)
        remaining += last.operation.is_known
        last.put_back()
        entry = last.after
    return None


def by_key(operations: Iterable[tuple[Hashable, Operation]]) -> Iterator[list[Operation]]:
    """Yield the history of each object: one is linearizable where each of its parts is."""
    histories: dict[Hashable, list[Operation]] = {}
    for key, operation in operations:
        histories.setdefault(key, []).append(operation)
    yield from histories.values()
