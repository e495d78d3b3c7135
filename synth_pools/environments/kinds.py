"""Kinds of environments, and references to them such as `gymnasium:CartPole-v1`."""

from __future__ import annotations

import re
from dataclasses import dataclass

_ODD = re.compile(r"[^A-Za-z0-9._:-]+")
_LONGEST_ID = 128


@dataclass(frozen=True, slots=True)
class Kind:
    """Framework whose environments a container can serve.

    Attributes:
        name: The word before the colon, the name of its adapter and of its extra.
        module: The module that is there once it is installed.
        package: The package of the framework, whose release is shown.
        python: The oldest Python that it runs on.
        subject: The meaning of the name behind the colon.
        example: A reference.
        concurrency: The most rollouts at a time in a process.
    """

    name: str
    module: str
    package: str
    python: tuple[int, int]
    subject: str
    example: str
    concurrency: int


_GYMNASIUM = "the id of an environment, a module that registers it before it if there is one"
_INSPECT = "a file with a task behind @, or a registered task"
_VERIFIERS = "the module of a taskset"
_OPENENV = "the URL of a server, a folder made by `openenv init`, or docker://IMAGE"
_HARBOR = "the folder of a task or of a dataset"
_KINDS = (
    Kind("gymnasium", "gymnasium", "gymnasium", (3, 11), _GYMNASIUM, "gymnasium:CartPole-v1", 16),
    Kind("inspect", "inspect_ai", "inspect-ai", (3, 11), _INSPECT, "inspect:tasks.py@sums", 1),
    Kind("verifiers", "verifiers", "verifiers", (3, 11), _VERIFIERS, "verifiers:my_env", 16),
    Kind("openenv", "websockets", "openenv-core", (3, 11), _OPENENV, "openenv:./my_env", 16),
    Kind("harbor", "harbor", "harbor", (3, 12), _HARBOR, "harbor:./tasks", 8),
)
KINDS = {kind.name: kind for kind in _KINDS}


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


def id_from_name(name: object) -> str:
    """Return the id of a pool or a task that a name gives; empty if it has nothing of one."""
    return _ODD.sub("-", str(name)).lstrip("._:-")[:_LONGEST_ID].rstrip("-")
