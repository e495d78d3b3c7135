# Derived by `make generate`. Change the file that it comes from:
# tests/client/facade/async_/test_parameters.py

"""Bounds and defaults of parameters: those of the document, wherever a method has them."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from synth_pools import ContainerPoolsClient, RequestValidationError
from tests.support.document import OPERATIONS, resolve
from tests.support.recording import RecordingServer, Reply
from tests.support.surface import P, R

pytestmark = pytest.mark.one_library

# A method that iterates over all pages -> the one that asks for a page.
ITERATING = {
    "iter_pools": "list_pools",
    "iter_rollouts": "list_rollouts",
    "iter_global_rollouts": "list_global_rollouts",
    "iter_rollout_event_pages": "get_rollout_event_page",
    "iter_global_rollout_event_pages": "get_global_rollout_event_page",
    "iter_pool_logs": "get_pool_logs",
}
# What the document names no default of, since leaving it out is the same as its least.
LEAST = {"after_sequence"}
# Lists send numbers as they are, as those of the published client do.
LISTS = {name for pair in ITERATING.items() for name in pair if pair[1].startswith("list_")}


def described() -> list[tuple[str, str, dict[str, Any]]]:
    """List the query parameters that methods have, with their schemas."""
    schemas: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for name, operation in OPERATIONS.items():
        parameters = map(resolve, operation.node.get("parameters", ()))
        schemas[operation.node.get("x-json-method", name)] = [
            (one["name"], resolve(one["schema"])) for one in parameters if one["in"] == "query"
        ]
    named = {**{name: name for name in schemas}, **ITERATING}
    return [
        (method, parameter, schema)
        for method, name in named.items()
        for parameter, schema in schemas[name]
        if parameter in inspect.signature(getattr(ContainerPoolsClient, method)).parameters
    ]


NUMBERS = [
    (method, name, schema["minimum"], schema["maximum"])
    for method, name, schema in described()
    if schema["type"] == "integer" and method not in LISTS
]


def call(client: ContainerPoolsClient, method: str, **arguments: Any) -> Any:
    """Call a method, with an id for whatever else it needs."""
    function = getattr(client, method)
    wanted = inspect.signature(function).parameters
    ids = {name: value for name, value in (("pool_id", P), ("rollout_id", R)) if name in wanted}
    return function(**ids, **arguments)


@pytest.mark.parametrize(("method", "name", "least", "most"), NUMBERS)
def test_numbers_have_the_bounds_of_the_document(
    server: RecordingServer,
    client: ContainerPoolsClient,
    method: str,
    name: str,
    least: int,
    most: int,
) -> None:
    server.reply_with(Reply(200, b"{}"))
    for number in (least - 1, most + 1):
        with pytest.raises(RequestValidationError, match=f"^{name} must be"):
            call(client, method, **{name: number})
    assert not server.requests
    for number in (least, most):
        called = call(client, method, **{name: number})
        if method in ITERATING:
            called.close()
            continue
        assert called == {}
        assert dict(server.last.query)[name] == str(number)


@pytest.mark.parametrize(("method", "name", "schema"), described())
def test_what_is_left_out_is_what_the_document_takes_it_for(
    method: str, name: str, schema: dict[str, Any]
) -> None:
    signature = inspect.signature(getattr(ContainerPoolsClient, method))
    default = schema.get("default", schema["minimum"] if name in LEAST else None)
    assert signature.parameters[name].default == default
