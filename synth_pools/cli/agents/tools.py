"""Tools for the rows of the table of commands, with the texts of openapi.yaml."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from synth_pools.cli.operations.bodies import validated_body
from synth_pools.cli.operations.model import BYTES, CommandRow
from synth_pools.cli.operations.table import COMMANDS
from synth_pools.errors import RequestValidationError
from synth_pools.spec import load_spec
from synth_pools.spec.sentences import split_text

_SCHEMAS = "#/components/schemas/"
# An agent needs types and texts; examples and extensions are long.
_LEFT_OUT = ("example", "examples", "format", "deprecated")
# Texts also refer to operations that are called by a tool with the name of a sibling.
_TOOL_NAMES = {
    operation: min(dict(row.operations), key=len)
    for row in COMMANDS
    for operation, _ in row.operations
}
_PAGE_TEXT = "Answers one page of the events, not the stream."


class OperationTool(NamedTuple):
    """Tool for one row of the table.

    Attributes:
        name: The shortest id among its operations.
        row: The row.
        operations: The operations that may be called, each with the parameters of its path.
        is_read_only: Whether it only reads.
        listed: The tool as lists of the protocol have it.
    """

    name: str
    row: CommandRow
    operations: tuple[tuple[str, tuple[str, ...]], ...]
    is_read_only: bool
    listed: dict[str, Any]

    def call(
        self, arguments: Mapping[str, Any], warn: Callable[[str], object]
    ) -> tuple[str, dict[str, Any], Any]:
        """Choose the operation by the arguments; return it, its parameters and its body.

        Args:
            arguments: The arguments of the tool.
            warn: Called for each key of the body that is nearly a known one.

        Raises:
            RequestValidationError: The arguments fit no operation.
            CommandError: The body does not match its schema.
        """
        body = arguments.get("body") if self.row.body else None
        parameters = {
            name: value
            for name, value in arguments.items()
            if value is not None and not (self.row.body and name == "body")
        }
        if self.row.kind == "stream":
            parameters["format_"] = "json"
        places = {name for _, names in self.operations for name in names if name in parameters}
        operation = next((name for name, names in self.operations if set(names) == places), None)
        if operation is None:
            expected = " or ".join(", ".join(names) or "none" for _, names in self.operations)
            raise RequestValidationError(f"{self.name}: these ids are needed: {expected}")
        if self.row.body:
            if body is None and self.row.body_required:
                raise RequestValidationError(f"{self.name}: body is missing")
            if body is not None:
                body = validated_body(body, self.row.body, warn=warn)
        return operation, parameters, body


def offered_tools(capabilities: Mapping[str, Any]) -> Iterator[OperationTool]:
    """Yield the tools for all that the service offers and the scopes of the key allow."""
    document = load_spec()
    nodes = dict(_operation_nodes(document))
    for row in COMMANDS:
        operations = {
            operation: places
            for operation, places in row.operations
            if _is_allowed(row, nodes[operation], capabilities)
        }
        if operations and not row.hidden and row.body != BYTES:
            yield _tool(row, operations, nodes, document["components"]["schemas"])


def _operation_nodes(document: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each operation by its id, with its method, and its parameters by their names."""
    for item in document["paths"].values():
        for method, node in item.items():
            if isinstance(node, dict) and "operationId" in node:
                parameters = {}
                for parameter in item.get("parameters", []) + node.get("parameters", []):
                    if "$ref" in parameter:
                        name = parameter["$ref"].rpartition("/")[2]
                        parameter = document["components"]["parameters"][name]
                    parameters[parameter["name"].lower().replace("-", "_")] = parameter
                yield node["operationId"], {**node, "method": method, "parameters": parameters}


def _is_allowed(row: CommandRow, node: Mapping[str, Any], capabilities: Mapping[str, Any]) -> bool:
    features, scopes = capabilities.get("features"), capabilities.get("scopes")
    needed = {node["x-feature"]} if "x-feature" in node else set()
    if row.kind == "stream":
        needed.add("event_pages")
    if row.kind == "download" and "application/zip" in node["responses"]["200"]["content"]:
        # No agent reads an archive.
        return False
    scope = node.get("x-scope", "read" if node["method"] == "get" else "admin")
    # An older service does not tell the scopes; it refuses what the key may not do.
    return (not isinstance(scopes, list) or scope in scopes) and all(
        isinstance(features, dict) and features.get(name) is True for name in needed
    )


def _tool(
    row: CommandRow,
    operations: Mapping[str, tuple[str, ...]],
    nodes: Mapping[str, Mapping[str, Any]],
    schemas: Mapping[str, Any],
) -> OperationTool:
    called = [nodes[operation] for operation in operations]
    # The first operation with a parameter describes it.
    described = {
        name: parameter
        for node in reversed(called)
        for name, parameter in node["parameters"].items()
    }
    of_other_paths = {name for _, places in row.operations for name in places}
    of_other_paths.difference_update(*operations.values())
    in_all_paths = set.intersection(*map(set, operations.values()))
    names = [*row.arguments, *(option.name for option in row.options)]
    properties, required = {}, []
    for name in names:
        if name in of_other_paths:
            continue
        parameter = described[name]
        text = parameter.get("description", "")
        properties[name] = _short({**parameter["schema"], "description": text})
        if parameter.get("required") and (name in in_all_paths or parameter["in"] != "path"):
            required.append(name)
    if row.body:
        properties["body"] = {"$ref": f"#/$defs/{row.body}"}
        if row.body_required:
            required.append("body")
    schema = {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
        "$defs": _definitions(properties, schemas),
    }
    text = re.sub(
        r"(?<=`)\w+(?=`)", lambda word: _TOOL_NAMES.get(word[0], word[0]), row.description
    )
    page = _PAGE_TEXT if row.kind == "stream" else ""
    name = min(operations, key=len)
    is_read_only = all(node["method"] == "get" or node.get("x-scope") == "read" for node in called)
    listed = {
        "name": name,
        "description": "\n\n".join(filter(None, [f"{row.summary}.", page, text])),
        "inputSchema": schema,
        "annotations": {
            "readOnlyHint": is_read_only,
            "destructiveHint": row.destroys or None,
            "idempotentHint": all(node.get("x-retry", "always") == "always" for node in called),
        },
    }
    return OperationTool(name, row, tuple(operations.items()), is_read_only, listed)


def _definitions(schema: Any, schemas: Mapping[str, Any]) -> dict[str, Any]:
    """Collect the schemas that a schema refers to, directly or by others."""
    definitions: dict[str, Any] = {}
    waiting = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting += node
        elif isinstance(node, dict):
            name = str(node.get("$ref", "")).rpartition("/")[2]
            if name and name not in definitions:
                definitions[name] = _short(schemas[name])
                waiting.append(definitions[name])
            waiting += node.values()
    return definitions


def _short(node: Any, *, is_named: bool = False) -> Any:
    """Return a schema with the first sentences of its texts, and with its references rewritten.

    Args:
        node: A schema, or a part of it.
        is_named: Whether its keys are names of properties.
    """
    if isinstance(node, list):
        return [_short(item) for item in node]
    if not isinstance(node, dict):
        return node
    results: dict[str, Any] = {}
    for key, value in node.items():
        if not is_named and key == "description" and isinstance(value, str):
            results[key] = next((text for _, text in split_text(value)), "")
        elif not is_named and key == "$ref":
            results[key] = value.replace(_SCHEMAS, "#/$defs/")
        elif is_named or not (key in _LEFT_OUT or key.startswith("x-")):
            is_mapping = not is_named and key == "properties"
            results[key] = _short(value, is_named=is_mapping)
    return results
