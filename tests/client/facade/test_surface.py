"""The spec, the generated modules and the facade offer the same operations."""

from __future__ import annotations

import inspect
import pkgutil
from typing import Any

import pytest

import synth_pools
import synth_pools_api.api
from synth_pools.types import RolloutFilters
from tests.support import document
from tests.support.surface import EVERY

# operationId -> tag
OPERATIONS: dict[str, str] = {
    name: operation.tag for name, operation in document.OPERATIONS.items()
}

# Short names of the same methods, and the client's other members.
ALIASES = {call.name for call in EVERY if "." not in call.name} | {
    "events",
    "follow_logs",
    "get_or_create",
}
COMMON = {"api", "api_key", "base_url", "config", "is_closed", "raw", "timeout", "with_options"}
LASTING = {
    "iter_global_rollout_event_pages",
    "iter_rollout_event_pages",
    "get_or_create_pool",
    "iter_global_rollouts",
    "iter_pool_logs",
    "iter_pools",
    "iter_rollouts",
    "iter_runs",
    "wait_pool_active",
    "wait_rollout",
}
# Method for the JSON answer of an operation that streams -> tag.
PAGES: dict[str, str] = {
    operation.node["x-json-method"]: operation.tag
    for operation in document.OPERATIONS.values()
    if "x-json-method" in operation.node
}
NAMESPACES = {"agent_rollouts", "metrics", "rollouts", "runs", "tasks"}


def generated_modules() -> dict[str, str]:
    """Map the name of each generated endpoint module to its package."""
    modules = {}
    for tag in pkgutil.iter_modules(synth_pools_api.api.__path__):
        package = [f"{path}/{tag.name}" for path in synth_pools_api.api.__path__]
        modules.update({module.name: tag.name for module in pkgutil.iter_modules(package)})
    return modules


def methods(client: type) -> set[str]:
    return {name for name, _ in inspect.getmembers(client, callable) if not name.startswith("_")}


def test_every_operation_is_generated_and_nothing_else() -> None:
    generated = generated_modules()
    problems = [
        f"{name}: in openapi.yaml, not generated: run `make generate`"
        for name in sorted(OPERATIONS.keys() - generated.keys())
    ]
    problems += [
        f"{name}: generated, not in openapi.yaml: run `make generate`"
        for name in sorted(generated.keys() - OPERATIONS.keys())
    ]
    problems += [
        f"{name}: tagged {OPERATIONS[name]} in openapi.yaml, generated under {generated[name]}"
        for name in sorted(OPERATIONS.keys() & generated.keys())
        if OPERATIONS[name] != generated[name]
    ]
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize(
    "client",
    [synth_pools.ContainerPoolsClient, synth_pools.AsyncContainerPoolsClient],
    ids=lambda client: client.__name__,
)
def test_every_operation_is_a_method_of_the_client_and_nothing_else(client: type) -> None:
    close = {"aclose"} if client is synth_pools.AsyncContainerPoolsClient else {"close"}
    offered = methods(client)
    problems = [
        f"{name}: in openapi.yaml, not a method of {client.__name__}: still to be written"
        for name in sorted(OPERATIONS.keys() - offered)
    ]
    problems += [
        f"{name}: a method of {client.__name__}, not an operation of openapi.yaml"
        for name in sorted(
            offered
            - OPERATIONS.keys()
            - PAGES.keys()
            - ALIASES
            - COMMON
            - LASTING
            - NAMESPACES
            - close
        )
    ]
    assert not problems, "\n".join(problems)


def test_both_variants_offer_the_same() -> None:
    sync = methods(synth_pools.ContainerPoolsClient) - {"close"}
    variant = methods(synth_pools.AsyncContainerPoolsClient) - {"aclose"}
    assert sync == variant, f"on one side only: {sorted(sync ^ variant)}"


@pytest.mark.parametrize(
    "client",
    [synth_pools.ContainerPoolsClient, synth_pools.AsyncContainerPoolsClient],
    ids=lambda client: client.__name__,
)
def test_every_operation_has_its_typed_form(client: Any) -> None:
    api = client(api_key="k").api
    groups = {name for name in dir(api) if not name.startswith("_")}
    typed = {name: tag for tag in groups for name in methods(type(getattr(api, tag)))}
    assert typed == OPERATIONS | PAGES


def test_the_typed_form_takes_what_the_plain_one_takes() -> None:
    """Check the names of parameters; `request` is the keyword `body`, a model."""
    client = synth_pools.ContainerPoolsClient(api_key="k")
    for name, tag in (OPERATIONS | PAGES).items():
        check_typed_form(client, name, tag)


def check_typed_form(client: synth_pools.ContainerPoolsClient, name: str, tag: str) -> None:
    plain = inspect.signature(getattr(client, name)).parameters
    typed = inspect.signature(getattr(getattr(client.api, tag), name)).parameters
    names = {"body" if argument == "request" else argument for argument in plain}
    if "filters" in names:
        names = names - {"filters"} | RolloutFilters.__annotations__.keys()
    assert names <= typed.keys()
    assert [argument for argument, it in plain.items() if it.kind is it.POSITIONAL_OR_KEYWORD] == [
        "request" if argument == "body" else argument
        for argument, it in typed.items()
        if it.kind is it.POSITIONAL_OR_KEYWORD or (argument == "body" and "request" in plain)
    ]
