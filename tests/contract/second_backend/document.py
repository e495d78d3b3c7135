"""openapi.yaml: its operations, and the validation of requests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import jsonschema_rs

from synth_pools.spec import load_spec

Json = Any
Item = dict[str, Any]
_METHODS = ("get", "post", "put", "patch", "delete")
_LONGEST_MESSAGE = 300


@dataclass(frozen=True)
class Parameter:
    name: str
    place: str
    schema: dict[str, Json]

    @property
    def default(self) -> Json:
        return self.schema.get("default")


@dataclass(frozen=True)
class Operation:
    name: str
    path: str
    method: str
    parameters: tuple[Parameter, ...]
    body: str | None
    body_required: bool
    feature: str | None

    @property
    def media_types(self) -> tuple[str, ...]:
        merge = ("application/merge-patch+json",) if self.method == "PATCH" else ()
        return ("application/json", *merge)


@cache
def operations() -> tuple[Operation, ...]:
    """Return all operations, those with the fewest path parameters first."""
    parsed = []
    for path, item in load_spec()["paths"].items():
        for method in _METHODS:
            if method not in item:
                continue
            definition = item[method]
            parameters = [_resolved(parameter) for parameter in _shared(item, definition)]
            body = definition.get("requestBody", {})
            content = body.get("content", {}).get("application/json")
            parsed.append(
                Operation(
                    definition["operationId"],
                    path,
                    method.upper(),
                    tuple(
                        Parameter(parameter["name"], parameter["in"], parameter["schema"])
                        for parameter in parameters
                    ),
                    content["schema"]["$ref"].rpartition("/")[2] if content else None,
                    bool(body.get("required")),
                    definition.get("x-feature"),
                )
            )
    return tuple(sorted(parsed, key=lambda operation: (operation.path.count("{"), operation.path)))


def showing(*schemas: str) -> tuple[str, ...]:
    """Return the names of the operations that answer with one of these schemas."""
    references = {f"#/components/schemas/{name}" for name in schemas}
    return tuple(
        definition["operationId"]
        for item in load_spec()["paths"].values()
        for definition in (item[method] for method in _METHODS if method in item)
        for status, response in definition["responses"].items()
        if status[0] == "2"
        and response.get("content", {}).get("application/json", {}).get("schema", {}).get("$ref")
        in references
    )


def version() -> str:
    return str(load_spec()["info"]["version"])


def targets() -> list[str]:
    return list(load_spec()["components"]["schemas"]["PoolTarget"]["enum"])


def body_faults(schema: str, value: Json) -> list[Item]:
    """Return the faults of a body as items of a 422's `detail`."""
    return list(_faults(_validator(schema), value, ("body",)))


def parameter_faults(parameter: Parameter, value: Json) -> list[Item]:
    """Return the faults of one parameter as items of a 422's `detail`."""
    return list(
        _faults(_plain(repr(parameter), parameter), value, (parameter.place, parameter.name))
    )


@cache
def _validator(schema: str) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(
        {"$ref": f"#/components/schemas/{schema}", "components": load_spec()["components"]},
        validate_formats=True,
    )


_plain_cache: dict[str, jsonschema_rs.Draft202012Validator] = {}


def _plain(key: str, parameter: Parameter) -> jsonschema_rs.Draft202012Validator:
    if key not in _plain_cache:
        _plain_cache[key] = jsonschema_rs.Draft202012Validator(parameter.schema)
    return _plain_cache[key]


def _faults(
    validator: jsonschema_rs.Draft202012Validator, value: Json, place: tuple[str, ...]
) -> Iterator[Item]:
    for error in validator.iter_errors(value):
        yield from _items(error, list(place))


def _items(error: jsonschema_rs.ValidationError, place: list[str | int]) -> Iterator[Item]:
    where = [*place, *error.instance_path]
    context = getattr(error.kind, "context", None)
    if context:
        # The alternatives are a schema and null: judge any other value by the schema.
        for inner in context[0]:
            yield from _items(inner, place)
        return
    for name in getattr(error.kind, "unexpected", [None]):
        yield {
            "loc": where if name is None else [*where, name],
            "msg": error.message[:_LONGEST_MESSAGE],
            "type": error.kind.name,
        }


def _resolved(parameter: dict[str, Json]) -> dict[str, Json]:
    if "$ref" not in parameter:
        return parameter
    target: dict[str, Json] = load_spec()["components"]["parameters"][
        parameter["$ref"].rpartition("/")[2]
    ]
    return target


def _shared(item: dict[str, Json], definition: dict[str, Json]) -> list[dict[str, Json]]:
    return [*item.get("parameters", []), *definition.get("parameters", [])]
