"""Documentation of short names, derived from the operations."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import pytest

from synth_pools import AsyncContainerPoolsClient, ContainerPoolsClient

CLIENTS = (AsyncContainerPoolsClient, ContainerPoolsClient)
# Operations of some short names.
EXAMPLES = {
    "create": "create_pool",
    "rollouts.create": "create_rollout",
    "rollouts.events": "stream_rollout_events",
    "agent_rollouts.artifact": "get_global_rollout_artifact",
    "agent_rollouts.iter": "iter_global_rollouts",
    "tasks.patch": "patch_task",
    "metrics.get": "get_pool_metrics",
}


def short_names() -> Iterator[tuple[str, Any]]:
    """Iterate over the public methods of the namespaces, by their full names."""
    for client in CLIENTS:
        instance = client(api_key="k")
        for namespace in ("rollouts", "agent_rollouts", "tasks", "metrics"):
            for name, method in inspect.getmembers(getattr(instance, namespace), inspect.ismethod):
                if not name.startswith("_"):
                    yield f"{client.__name__}.{namespace}.{name}", method


def test_each_is_documented_with_its_own_parameters() -> None:
    names = list(short_names())
    assert len(names) > 2 * len(EXAMPLES)
    for name, method in names:
        documentation = inspect.getdoc(method) or ""
        listed = re.search(r"^Args:\n((?:    .*\n?)+)", documentation, re.MULTILINE)
        assert listed is not None, name
        documented = re.findall(r"^    (?:\*\*)?(\w+):", listed[1], re.MULTILINE)
        assert documented == list(inspect.signature(method).parameters), name


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("short", EXAMPLES)
def test_it_is_the_documentation_of_the_long_name(client: type[Any], short: str) -> None:
    target = client(api_key="k")
    for name in short.split("."):
        target = getattr(target, name)
    long = getattr(client, EXAMPLES[short]).__doc__
    assert target.__doc__ == long.replace("artifact_path:", "path:")


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    ("short", "long"),
    [
        *EXAMPLES.items(),
        ("rollouts.iter", "iter_rollouts"),
        ("rollouts.wait", "wait_rollout"),
        ("agent_rollouts.wait", "wait_rollout"),
        ("rollouts.event_pages", "iter_rollout_event_pages"),
        ("agent_rollouts.event_pages", "iter_global_rollout_event_pages"),
    ],
)
def test_what_is_left_out_is_the_same_under_both_names(
    client: type[Any], short: str, long: str
) -> None:
    target = client(api_key="k")
    for name in short.split("."):
        target = getattr(target, name)
    full = inspect.signature(getattr(client, long)).parameters
    for name, parameter in inspect.signature(target).parameters.items():
        if name in full:
            assert parameter.default == full[name].default, name


@pytest.mark.parametrize("client", CLIENTS)
def test_rollouts_of_one_pool_and_of_all_have_the_same_short_names(client: type[Any]) -> None:
    """Compare their arguments, apart from the pool, and their results."""
    instance = client(api_key="k")
    pooled, of_all = (
        {
            name: inspect.signature(method)
            for name, method in inspect.getmembers(namespace, inspect.ismethod)
            if not name.startswith("_")
        }
        for namespace in (instance.rollouts, instance.agent_rollouts)
    )
    assert pooled.keys() == of_all.keys()
    for name, signature in pooled.items():
        first, *others = signature.parameters.values()
        assert first.name == "pool_id", name
        assert signature.replace(parameters=others) == of_all[name], name
