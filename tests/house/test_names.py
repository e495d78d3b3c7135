"""Public names: one word, one thing."""

from __future__ import annotations

from collections import defaultdict

import pytest

from tests.house.tree import modules

# Parsing the whole tree takes seconds: once.
pytestmark = pytest.mark.xdist_group("house")

# Names that several modules have, each with its reason.
_SHARED = {
    # The same thing in two parts that may not import each other.
    "Container": "the class of the SDK, and a container as a backend sees it",
    "Operation": "an operation of openapi.yaml, which the backend and the kit read each for itself",
    "Secret": "a text that no repr shows: the client and the backend do without each other",
    "Result": "the end of an episode, and that of a statement: the SDK and the backend do without "
    "each other",
    "Rollout": "one to play, and one to wait for: the SDK and the kit do without each other",
    "adapt": "what each adapter of a framework has",
    "compact": "the command, and what it does",
    # A handler has the name of its operation, and the query that it makes has that name, too.
    "delete_task": "the operation, and its query",
    "list_pools": "the operation, and its query",
    "list_rollouts": "the operation, and its query",
    "update_pool": "the operation, and its query",
    "update_task": "the operation, and its query",
}


def public_names() -> dict[str, set[str]]:
    """The modules of each public class and function; both variants of one thing are one module."""
    result: dict[str, set[str]] = defaultdict(set)
    for module in modules("synth_pools"):
        place = module.name.replace("/async_/", "/").replace("/sync_/", "/")
        for node in module.definitions():
            if not node.name.startswith("_"):
                result[node.name].add(place)
    return result


def test_no_name_stands_for_two_things() -> None:
    names = public_names()
    assert len(names) > 300
    shared = {name: sorted(places) for name, places in names.items() if len(places) > 1}
    assert {name: places for name, places in shared.items() if name not in _SHARED} == {}
    # A name that is no longer shared needs no exception.
    assert set(_SHARED) == set(shared)
