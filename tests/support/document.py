"""openapi.yaml with its overlay, read once for all tests, and the operations in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from codegen.overlay import join_overlay
from synth_pools.spec import load_spec

METHODS = ("get", "put", "post", "patch", "delete")
SPEC: dict[str, Any] = join_overlay(load_spec(), Path(__file__).parents[2])
SCHEMAS: dict[str, dict[str, Any]] = SPEC["components"]["schemas"]


class Described(NamedTuple):
    """An operation as the document has it."""

    method: str
    path: str
    node: dict[str, Any]

    @property
    def tag(self) -> str:
        return str(self.node["tags"][0])

    @property
    def needed_query(self) -> dict[str, str]:
        """Examples of the parameters that its query must have."""
        return {
            parameter["name"]: parameter["example"]
            for parameter in map(resolve, self.node.get("parameters", ()))
            if parameter["in"] == "query" and parameter.get("required")
        }


# Operations by operationId.
OPERATIONS: dict[str, Described] = {
    item[method]["operationId"]: Described(method, path, item[method])
    for path, item in SPEC["paths"].items()
    for method in METHODS
    if method in item
}


def resolve(node: dict[str, Any]) -> dict[str, Any]:
    """Follow `$ref` within the document."""
    while "$ref" in node:
        target: Any = SPEC
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


def contents(operation: Described) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Iterate over the bodies of an operation: which it is, its media type, its content."""
    bodies = {"request": operation.node.get("requestBody", {}), **operation.node["responses"]}
    for name, body in bodies.items():
        for media_type, content in resolve(body).get("content", {}).items():
            yield name, media_type, content


def _examples() -> dict[str, list[Any]]:
    examples = {name: list(schema.get("examples", ())) for name, schema in SCHEMAS.items()}
    for operation in OPERATIONS.values():
        for _, media_type, content in contents(operation):
            name = content["schema"].get("$ref", "").rpartition("/")[2]
            # The example of a stream is its text.
            if name and media_type != "text/event-stream":
                values = [resolve(example)["value"] for example in content["examples"].values()]
                examples[name] += [value for value in values if value not in examples[name]]
    return examples


# Examples by schema: its own, and those of bodies that refer to it.
EXAMPLES: dict[str, list[Any]] = _examples()
