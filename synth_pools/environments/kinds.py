"""Kinds of environments, and references to them such as `gymnasium:CartPole-v1`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """Framework whose environments a container can serve.

    Attributes:
        name: The word before the colon, the name of its adapter and of its extra.
        module: The module that is there once it is installed.
        python: The oldest Python that it runs on.
        subject: The meaning of the name behind the colon.
        example: A reference.
        concurrency: The most rollouts at a time in a process.
    """

    name: str
    module: str
    python: tuple[int, int]
    subject: str
    example: str
    concurrency: int


KINDS = {
    kind.name: kind
    for kind in (
        Kind(
            "gymnasium",
            "gymnasium",
            (3, 11),
            "the id of an environment, a module that registers it before it if there is one",
            "gymnasium:CartPole-v1",
            16,
        ),
        Kind(
            "inspect",
            "inspect_ai",
            (3, 11),
            "a file with a task behind @, or a registered task",
            "inspect:tasks.py@sums",
            1,
        ),
        Kind("verifiers", "verifiers", (3, 11), "the module of a taskset", "verifiers:my_env", 16),
        Kind(
            "openenv",
            "websockets",
            (3, 11),
            "the URL of a server, or a folder made by `openenv init`",
            "openenv:./my_env",
            16,
        ),
        Kind(
            "harbor", "harbor", (3, 12), "the folder of a task or of a dataset", "harbor:./tasks", 8
        ),
    )
}


def split_reference(reference: str) -> tuple[Kind, str]:
    """Return the kind and the name that a reference has.

    Args:
        reference: A kind, a colon and a name.

    Raises:
        ValueError: There is no such kind, or no name.
    """
    kind, colon, name = reference.partition(":")
    if kind in KINDS and name:
        return KINDS[kind], name
    if colon and kind in KINDS:
        raise ValueError(f"{reference!r} has no name: write {KINDS[kind].example}.")
    raise ValueError(
        f"{reference!r} is no environment: write KIND:NAME, for example "
        f"{KINDS['gymnasium'].example}. The kinds are {', '.join(KINDS)}."
    )
