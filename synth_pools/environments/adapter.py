"""Environment of a framework, which `adapt(name)` of its module returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, TypeVar

from synth_pools.container import Container
from synth_pools.container.episodes import Episodes
from synth_pools.environments.kinds import id_from_name, split_reference

T = TypeVar("T")

_TIME = {"timeout_seconds": "time until the episode is stopped"}


@dataclass(frozen=True)
class Environment:
    """Environment of a framework, as a container that plays it.

    Attributes:
        container: The container.
        reads: What each part of a request means to it: sentences by the names of fields, for
            `policy`, `env` and `limits`.
        seeds: A sentence on what a seed does, and whether it gives the same reward again.
        cannot: Sentences on what is not possible with it.
    """

    container: Container
    reads: Mapping[str, Mapping[str, str]]
    seeds: str
    cannot: tuple[str, ...] = field(default=())

    async def describe(self) -> dict[str, Any]:
        """Return what `synth-pools env show` prints.

        Raises:
            SetupError: Its own code failed.
        """
        episodes = Episodes(self.container)
        async with episodes.open():
            tasks = episodes.tasks
        return {
            "name": self.container.name,
            "tasks": tasks,
            "reads": {**self.reads, "limits": {**self.reads["limits"], **_TIME}},
            "seeds": self.seeds,
            "cannot": list(self.cannot),
        }


def load_environment(reference: str) -> Environment:
    """Return an environment of the framework that its reference names.

    Args:
        reference: A kind, a colon and a name.

    Raises:
        ValueError: It names none.
        ImportError: The framework is not installed here.
    """
    kind, name = split_reference(reference)
    adapter = import_module(f"synth_pools.environments.{kind.name}")
    built: Environment = adapter.adapt(name)
    built.container.concurrency = kind.concurrency
    return built


def with_task_ids(names: Sequence[object], tasks: Sequence[T]) -> dict[str, T]:
    """Return tasks by ids that a pool takes: their names, or their numbers.

    Args:
        names: The names that a framework has for them, such as `HumanEval/0`.
        tasks: The tasks.
    """
    ids = [id_from_name(name) for name in names]
    if len(set(ids) - {"", "None"}) < len(ids):
        ids = [str(number) for number in range(len(tasks))]
    return dict(zip(ids, tasks, strict=True))
