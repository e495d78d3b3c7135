"""Stories: what happens to backends, their database and their clocks, drawn from a seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import NamedTuple

# Errors of the server that no statement has caused.
REFUSALS = (
    *("55P03", "40P01", "40001", "53100", "53200", "53400", "57014", "57P01", "58030"),
    *("25006", "25P03", "42501", "42P01", "42703", "0A000", "26000", "XX000"),
)
# Errors of a server that takes no session; the first is one of the network.
CLOSED = ("", "28000", "28P01", "57P03", "53300", "3D000", "42501")
# The times of creations, and those of faults.
_CREATIONS, _FAULTS = (0.4, 3.0), (0.4, 4.5)
_DAY = 86_400.0
_CLOCKS = (10.0, 600.0, 40 * _DAY, -600.0, -3600.0, -40 * _DAY)


class Action(NamedTuple):
    """Action of a story.

    Attributes:
        at: Its time.
        kind: Its kind: the name of a method of the simulation.
        backend: The number of the backend that it concerns.
        value: Its argument.
    """

    at: float
    kind: str
    backend: int
    value: str | float | int = ""

    def __str__(self) -> str:
        return f"{self.at:7.3f} s  {self.kind} b{self.backend} {self.value}".rstrip()


@dataclass(frozen=True)
class Story:
    """Story of a seed.

    Attributes:
        seed: The seed, which also draws all delays.
        backends: The number of backends.
        places: The places of each pool.
        keep_seconds: For how long finished rollouts are kept; None for ever.
        actions: The actions in their order.
        numbers: The numbers of these actions among those of the seed.
    """

    seed: int
    backends: int
    places: Sequence[int]
    keep_seconds: float | None
    actions: Sequence[Action]
    numbers: Sequence[int] = field(default=())

    @classmethod
    def of(cls, seed: int) -> Story:
        """Draw the story of a seed."""
        chance = Random(f"story {seed}")
        backends = chance.choice((2, 2, 2, 3))
        places = [chance.randint(1, 3) for _ in range(chance.choice((1, 1, 2)))]
        keep_seconds = chance.choice((None, 20.0, 30 * _DAY, 30 * _DAY))

        def draw(kind: str, value: Callable[[], str | float | int]) -> Action:
            first, last = _CREATIONS if kind == "create" else _FAULTS
            at = round(chance.uniform(first, last), 3)
            return Action(at, kind, chance.randrange(backends), value())

        def creation() -> str:
            number = chance.choice((1, 1, 2, 4))
            return f"{number} in p{chance.randrange(len(places))}"

        faults: list[tuple[str, Callable[[], str | float | int]]] = [
            ("kill", lambda: round(chance.uniform(0.2, 9.0), 3)),
            *[("kill", lambda: "for good")] * 3,
            *[("stop", lambda: chance.choice((0.5, 2.0, 6.0, 8.0)))] * 2,
            ("end", lambda: round(chance.uniform(0.2, 4.0), 3)),
            ("cut", lambda: chance.choice(("writer", "all"))),
            ("outage", lambda: f"{chance.choice((0.5, 3.0, 8.0))} {chance.choice(CLOSED)}".strip()),
            ("refuse", lambda: " ".join(chance.choices(REFUSALS, k=chance.choice((1, 1, 3))))),
            ("lose_commit", lambda: chance.choice(("before", "after", "under way"))),
            *[("set_server_clock", lambda: chance.choice(_CLOCKS))] * 3,
            ("set_clock", lambda: chance.choice(_CLOCKS)),
            ("lose_containers", lambda: chance.choice((0.5, 3.0))),
            ("pause", lambda: f"p{chance.randrange(len(places))}"),
            ("archive", lambda: f"p{chance.randrange(len(places))}"),
            ("resize", lambda: f"p{chance.randrange(len(places))} {chance.randint(1, 3)}"),
            ("cancel", lambda: chance.randrange(8)),
        ]
        actions = [draw("create", creation) for _ in range(chance.randint(2, 3))]
        actions += [draw(*chance.choice(faults)) for _ in range(chance.randint(1, 6))]
        actions.sort()
        numbers = range(len(actions))
        return cls(seed, backends, places, keep_seconds, actions, numbers)

    def only(self, numbers: Sequence[int]) -> Story:
        """Return the story with some of its actions."""
        actions = [
            action
            for action, number in zip(self.actions, self.numbers, strict=True)
            if number in numbers
        ]
        return replace(
            self, actions=actions, numbers=[place for place in self.numbers if place in numbers]
        )

    def __str__(self) -> str:
        keep = "for ever" if self.keep_seconds is None else f"{self.keep_seconds:g} s"
        head = (
            f"seed {self.seed}: {self.backends} backends, pools with {list(self.places)} places, "
            f"finished rollouts are kept {keep}"
        )
        return "\n".join((head, *map(str, self.actions)))


def shrunk(story: Story, fails: Callable[[Story], bool]) -> Story:
    """Return a story from which no action can be left out without its failure."""
    is_smaller = True
    while is_smaller:
        is_smaller = False
        for omitted in reversed(story.numbers):
            smaller = story.only([number for number in story.numbers if number != omitted])
            if fails(smaller):
                story, is_smaller = smaller, True
    return story
