"""Tests of the checker of histories."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from tests.system.histories.checker import Model, Operation, by_key, refute


def _register(state: int, operation: Operation) -> Iterator[int]:
    if operation.name == "write":
        yield operation.argument
        if operation.answer is None:
            yield state
    elif operation.name == "add":
        if operation.answer == state + operation.argument:
            yield state + operation.argument
    elif operation.answer == state:
        yield state


REGISTER = Model(0, _register)


def write(value: int, called: float, returned: float = math.inf) -> Operation:
    return Operation("write", value, None if returned == math.inf else "ok", called, returned)


def read(value: int, called: float, returned: float) -> Operation:
    return Operation("read", None, value, called, returned)


def add(value: int, answer: int, called: float, returned: float) -> Operation:
    return Operation("add", value, answer, called, returned)


@pytest.mark.parametrize(
    "history",
    [
        [],
        [write(1, 0, 1), read(1, 2, 3)],
        [write(1, 0, 5), read(0, 1, 2), read(1, 3, 4)],
        [write(1, 0, 5), write(2, 0, 5), read(2, 6, 7)],
        [write(1, 0, 5), write(2, 0, 5), read(1, 6, 7)],
        # An operation without an answer may happen at any time, or never.
        [write(1, 0), read(0, 1, 2), read(1, 3, 4)],
        [write(1, 0), read(0, 1, 2), read(0, 3, 4)],
        [add(1, 2, 0, 9), add(1, 1, 0, 9)],
        # At the same time may be one after the other.
        [write(1, 0, 1), read(0, 1, 2)],
    ],
)
def test_what_has_an_order(history: Sequence[Operation]) -> None:
    assert refute(history, REGISTER) is None


@pytest.mark.parametrize(
    ("history", "stuck"),
    [
        # A stale read.
        ([write(1, 0, 1), read(0, 2, 3)], "read None cannot have been answered with 0"),
        # A later read returns the earlier value.
        ([write(1, 0, 9), read(1, 1, 2), read(0, 3, 4)], "read None cannot have been answered"),
        ([write(1, 0), read(1, 1, 2), read(0, 3, 4)], "read None cannot have been answered"),
        # Two readers disagree on the order of two writes.
        (
            [write(1, 0, 1), write(2, 0, 1), read(1, 2, 3), read(2, 4, 5)],
            "cannot have been answered",
        ),
        # A lost update.
        ([add(1, 1, 0, 9), add(1, 1, 0, 9)], "add 1 cannot have been answered with 1"),
        # Before the request for it.
        ([read(1, 0, 1), write(1, 2, 3)], "read None cannot have been answered with 1"),
    ],
)
def test_what_has_none(history: Sequence[Operation], stuck: str) -> None:
    result = refute(history, REGISTER)
    assert result is not None
    assert stuck in str(result)


def test_it_agrees_with_the_trial_of_all_orders() -> None:
    chance = random.Random(7)
    values = {True: 0, False: 0}
    for _ in range(1_500):
        history = list(_any_history(chance))
        is_right = refute(history, REGISTER) is None
        assert is_right == any(map(_explains, _orders(history))), history
        values[is_right] += 1
    # Both kinds were among them.
    assert min(values.values()) > 200


def test_a_history_of_many_that_overlap_is_read_in_time() -> None:
    """Six clients at a time: 720 orders a round, though far fewer states."""
    chance = random.Random(3)
    history, value = [], 0
    for round_ in range(200):
        values = [value := value + 1 for _ in range(6)]
        chance.shuffle(values)
        history += [write(value, round_ * 3, round_ * 3 + 1) for value in values]
        history.append(read(values[0], round_ * 3 + 2, round_ * 3 + 2.5))
    assert refute(history, REGISTER) is None
    last = history.pop()
    history.append(read(-1, last.called, last.returned))
    assert refute(history[-15:], Model(value - 12, _register)) is not None


def test_each_object_has_a_history_of_its_own() -> None:
    item, two, three = read(1, 0, 1), read(2, 0, 1), read(3, 2, 3)
    assert list(by_key([("a", item), ("b", two), ("a", three)])) == [[item, three], [two]]


def _any_history(chance: random.Random) -> Iterator[Operation]:
    for _ in range(chance.randint(2, 5)):
        called = chance.uniform(0, 3)
        returned = called + chance.uniform(0, 2)
        match chance.randrange(4):
            case 0:
                yield write(chance.randint(1, 2), called, returned)
            case 1:
                yield write(chance.randint(1, 2), called)
            case 2:
                yield read(chance.randint(0, 2), called, returned)
            case 3:
                yield add(1, chance.randint(1, 3), called, returned)


def _orders(history: Sequence[Operation]) -> Iterator[tuple[Operation, ...]]:
    """Yield all orders that fit the times, of the known operations and any of the others."""
    unknown = [operation for operation in history if not operation.is_known]
    expected = [operation for operation in history if operation.is_known]
    for number in range(len(unknown) + 1):
        for some in itertools.combinations(unknown, number):
            for order in itertools.permutations([*expected, *some]):
                if all(a.called <= b.returned for a, b in itertools.combinations(order, 2)):
                    yield order


def _explains(order: Sequence[Operation]) -> bool:
    states: frozenset[Any] = frozenset({0})
    for operation in order:
        states = REGISTER.after(states, operation)
    return bool(states)
