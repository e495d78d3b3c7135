"""Bounds and defaults of parameters, compared with the document."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from synth_pools import AsyncContainerPoolsClient, RequestValidationError
from tests.support.document import OPERATIONS, resolve
from tests.support.recording import RecordingServer, Reply
from tests.support.surface import P, R, T

pytestmark = pytest.mark.one_library

# A method that iterates over all pages -> the method that gets a page.
ITERATING = {
    "iter_pools": "list_pools",
    "iter_rollouts": "list_rollouts",
    "iter_global_rollouts": "list_global_rollouts",
    "iter_rollout_event_pages": "get_rollout_event_page",
    "iter_global_rollout_event_pages": "get_global_rollout_event_page",
    "iter_pool_logs": "get_pool_logs",
}
# Parameters without a default in the document, where their minimum is the default.
LEAST = {"after_sequence"}
# Lists send numbers unchecked, like the published client.
LISTS = {name for pair in ITERATING.items() for name in pair if pair[1].startswith("list_")}


def described_parameters() -> list[tuple[str, str, dict[str, Any]]]:
    """List the query parameters that methods have, with their schemas."""
    schemas: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for name, operation in OPERATIONS.items():
        parameters = map(resolve, operation.node.get("parameters", ()))
        schemas[operation.node.get("x-json-method", name)] = [
            (node["name"], resolve(node["schema"]))
            for node in parameters
            if node["in"] == "query" and not node.get("required")
        ]
    names = {**{name: name for name in schemas}, **ITERATING}
    return [
        (method, parameter, schema)
        for method, name in names.items()
        for parameter, schema in schemas[name]
        if parameter in inspect.signature(getattr(AsyncContainerPoolsClient, method)).parameters
    ]


NUMBERS = [
    (method, name, schema["minimum"], schema["maximum"])
    for method, name, schema in described_parameters()
    if schema["type"] == "integer" and method not in LISTS
]


def call(client: AsyncContainerPoolsClient, method: str, **arguments: Any) -> Any:
    """Call a method, with ids for its other arguments."""
    function = getattr(client, method)
    parameters = inspect.signature(function).parameters
    ids = {"pool_id": P, "task_id": T, "rollout_id": R}
    ids = {name: value for name, value in ids.items() if name in parameters}
    return function(**ids, **arguments)


@pytest.mark.parametrize(("method", "name", "least", "most"), NUMBERS)
async def test_numbers_have_the_bounds_of_the_document(
    server: RecordingServer,
    client: AsyncContainerPoolsClient,
    method: str,
    name: str,
    least: int,
    most: int,
) -> None:
    server.reply_with(Reply(200, b"{}"))
    for number in (least - 1, most + 1):
        with pytest.raises(RequestValidationError, match=f"^{name} must be"):
            await call(client, method, **{name: number})
    assert not server.requests
    for number in (least, most):
        called = call(client, method, **{name: number})
        if method in ITERATING:
            await called.aclose()
            continue
        assert await called == {}
        assert dict(server.last.query)[name] == str(number)


@pytest.mark.parametrize(("method", "name", "schema"), described_parameters())
def test_what_is_left_out_is_what_the_document_takes_it_for(
    method: str, name: str, schema: dict[str, Any]
) -> None:
    signature = inspect.signature(getattr(AsyncContainerPoolsClient, method))
    default = schema.get("default", schema["minimum"] if name in LEAST else None)
    assert signature.parameters[name].default == default
