"""openapi.yaml, read once for all tests, and the operations in it."""

from __future__ import annotations

from typing import Any, NamedTuple

from synth_pools.spec import load_spec

METHODS = ("get", "put", "post", "patch", "delete")
SPEC: dict[str, Any] = load_spec()
SCHEMAS: dict[str, dict[str, Any]] = SPEC["components"]["schemas"]


class Described(NamedTuple):
    """An operation as the document has it."""

    method: str
    path: str
    node: dict[str, Any]

    @property
    def tag(self) -> str:
        return str(self.node["tags"][0])


# By operationId.
OPERATIONS: dict[str, Described] = {
    item[method]["operationId"]: Described(method, path, item[method])
    for path, item in SPEC["paths"].items()
    for method in METHODS
    if method in item
}
