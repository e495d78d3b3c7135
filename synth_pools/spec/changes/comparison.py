"""Comparison of two versions of the contract, operation by operation."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from synth_pools.spec.changes.error_codes import compare_error_codes
from synth_pools.spec.changes.schemas import SchemaComparison
from synth_pools.spec.changes.source import OpenApiFile
from synth_pools.spec.changes.verdicts import OPERATION, REQUEST, RESPONSE, ApiChange

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_RETRY = ("never", "with-id", "with-key", "always")
_BACKTICKS = re.compile(r"`([^`]+)`")
_STYLE = ("style", "explode", "allowReserved", "allowEmptyValue")


def compare_documents(old: OpenApiFile, new: OpenApiFile) -> tuple[ApiChange, ...]:
    """List the changes from one document to another: the heaviest first, else in their order."""
    return _Comparison(old, new).run()


class _Comparison:
    def __init__(self, old: OpenApiFile, new: OpenApiFile) -> None:
        self._old = old
        self._new = new
        # Operations by change: many operations use the same schema.
        self._found: dict[tuple[str, str, str, str], list[str]] = {}

    def run(self) -> tuple[ApiChange, ...]:
        old, new = dict(_operations(self._old)), dict(_operations(self._new))
        removed = [route for route in old if route not in new]
        added = [route for route in new if route not in old]
        for route in removed:
            name = _name(old[route], route)
            moved = next(
                (candidate for candidate in added if _name(new[candidate], candidate) == name), None
            )
            if moved is None:
                self._add("operation-removed", OPERATION, route, "removed", name)
            else:
                added.remove(moved)
                self._add("operation-moved", OPERATION, route, f"now {moved}", name)
                self._compare_operations(old[route], new[moved], moved)
        for route in added:
            self._add("operation-added", OPERATION, route, "added", _name(new[route], route))
        for route, operation in old.items():
            if route in new:
                self._compare_operations(operation, new[route], route)
        self._compare_codes()
        self._compare_names()
        changes = [ApiChange(*key, tuple(names)) for key, names in self._found.items()]
        return tuple(sorted(changes, key=lambda change: -change.level))

    def _add(self, kind: str, direction: str, place: str, text: str, operation: str) -> None:
        names = self._found.setdefault((kind, direction, place, text), [])
        if operation and operation not in names:
            names.append(operation)

    def _compare_operations(
        self, old: Mapping[str, Any], new: Mapping[str, Any], route: str
    ) -> None:
        name = _name(new, route)
        if _name(old, route) != name:
            text = f"operationId {_name(old, route)} -> {name}"
            self._add("operation-renamed", OPERATION, route, text, name)
        if new.get("deprecated") is True and old.get("deprecated") is not True:
            self._add("operation-deprecated", OPERATION, route, "deprecated", name)
        tags = [(operation.get("tags") or [""])[0] for operation in (old, new)]
        if tags[0] != tags[1]:
            self._add("tag-changed", OPERATION, route, f"tag {tags[0]} -> {tags[1]}", name)
        before, after = (operation.get("x-retry", "never") for operation in (old, new))
        if before != after and before in _RETRY and after in _RETRY:
            weaker = _RETRY.index(after) < _RETRY.index(before)
            kind = "retry-weakened" if weaker else "retry-strengthened"
            self._add(kind, OPERATION, route, f"x-retry {before} -> {after}", name)
        demands = [
            operation.get("security", file.content.get("security")) or []
            for operation, file in ((old, self._old), (new, self._new))
        ]
        if demands[0] != demands[1]:
            free = not demands[1] or {} in demands[1]
            kind = "key-no-longer-demanded" if free else "key-demanded"
            self._add(kind, OPERATION, route, "security changed", name)
        self._compare_parameters(old, new, name)
        self._compare_bodies(old, new, name)
        self._compare_responses(old, new, name)

    def _schemas(self, direction: str, operation: str) -> SchemaComparison:
        def report(kind: str, place: str, text: str) -> None:
            self._add(kind, direction, place, text, operation)

        return SchemaComparison(self._old, self._new, direction, report)

    def _compare_parameters(
        self, old: Mapping[str, Any], new: Mapping[str, Any], operation: str
    ) -> None:
        before, after = _parameters(self._old, old), _parameters(self._new, new)
        schemas = self._schemas(REQUEST, operation)
        for key in before:
            if key not in after:
                self._add("parameter-removed", REQUEST, key, "removed", operation)
        for key, parameter in after.items():
            needed = parameter.get("required") is True
            former = before.get(key)
            if former is None:
                kind = "required-parameter-added" if needed else "parameter-added"
                self._add(kind, REQUEST, key, "added", operation)
                continue
            self._compare_needed("parameter", former, parameter, REQUEST, key, operation)
            for word in _STYLE:
                if former.get(word) != parameter.get(word):
                    text = f"{word} {former.get(word)} -> {parameter.get(word)}"
                    self._add("parameter-style-changed", REQUEST, key, text, operation)
            schemas.compare(_schema_of(former), _schema_of(parameter), key)

    def _compare_needed(
        self,
        part: str,
        old: Mapping[str, Any],
        new: Mapping[str, Any],
        direction: str,
        place: str,
        operation: str,
    ) -> None:
        if (new.get("required") is True) != (old.get("required") is True):
            word = "required" if new.get("required") is True else "optional"
            self._add(f"{part}-made-{word}", direction, place, f"{word} now", operation)

    def _compare_bodies(
        self, old: Mapping[str, Any], new: Mapping[str, Any], operation: str
    ) -> None:
        before = _resolved(self._old, old.get("requestBody"))
        after = _resolved(self._new, new.get("requestBody"))
        place = "body"
        if before is None or after is None:
            if after is not None:
                needed = after.get("required") is True
                kind = "body-made-required" if needed else "body-added"
                self._add(kind, REQUEST, place, "added", operation)
            elif before is not None:
                self._add("body-removed", REQUEST, place, "removed", operation)
            return
        self._compare_needed("body", before, after, REQUEST, place, operation)
        self._compare_content(before, after, REQUEST, place, operation)

    def _compare_content(
        self,
        old: Mapping[str, Any],
        new: Mapping[str, Any],
        direction: str,
        place: str,
        operation: str,
    ) -> None:
        before, after = (node.get("content") or {} for node in (old, new))
        for media in before:
            if media not in after:
                self._add("media-type-removed", direction, place, f"{media} removed", operation)
        for media, body in after.items():
            if media not in before:
                self._add("media-type-added", direction, place, f"{media} added", operation)
                continue
            schemas = self._schemas(direction, operation)
            schemas.compare(before[media].get("schema", {}), body.get("schema", {}), place)

    def _compare_responses(
        self, old: Mapping[str, Any], new: Mapping[str, Any], operation: str
    ) -> None:
        before, after = old.get("responses") or {}, new.get("responses") or {}
        for status in sorted(before.keys() | after.keys()):
            former, later = _covered(before, status), _covered(after, status)
            place = f"response {status}"
            success = status[0] in "123"
            if former is None:
                kind = "success-added" if success else "error-status-added"
                self._add(kind, RESPONSE, place, "added", operation)
            elif later is None:
                kind = "success-removed" if success else "error-status-removed"
                self._add(kind, RESPONSE, place, "removed", operation)
            else:
                first = _resolved(self._old, former) or {}
                second = _resolved(self._new, later) or {}
                self._compare_headers(first, second, place, operation)
                self._compare_content(first, second, RESPONSE, place, operation)

    def _compare_headers(
        self, old: Mapping[str, Any], new: Mapping[str, Any], place: str, operation: str
    ) -> None:
        before, after = (
            {
                name.lower(): _resolved(file, header) or {}
                for name, header in (node.get("headers") or {}).items()
            }
            for file, node in ((self._old, old), (self._new, new))
        )
        for name in before:
            if name not in after:
                text = f"removed, {place}"
                self._add("header-removed", RESPONSE, f"header {name}", text, operation)
        for name, header in after.items():
            needed = header.get("required") is True
            where = f"header {name}"
            former = before.get(name)
            if former is None:
                kind = "required-header-added" if needed else "header-added"
                self._add(kind, RESPONSE, where, f"added, {place}", operation)
                continue
            self._compare_needed("header", former, header, RESPONSE, where, operation)
            schemas = self._schemas(RESPONSE, operation)
            schemas.compare(_schema_of(former), _schema_of(header), where)

    def _compare_codes(self) -> None:
        """Report changes in the tables of error codes that no enumeration of codes has reported."""
        reported = {(kind, text.partition(" ")[0]) for kind, _, _, text in self._found}
        names = {_name(operation, route) for route, operation in _operations(self._new)}
        for kind, place, text in compare_error_codes(self._old, self._new):
            if (kind, text.partition(" ")[0]) not in reported:
                operations = [name for name in _BACKTICKS.findall(text) if name in names]
                for name in operations or [""]:
                    self._add(kind, RESPONSE, place, text, name)

    def _compare_names(self) -> None:
        """Report removed components: generated models are named after them."""
        before, after = (
            (file.content.get("components") or {}).get("schemas") or {}
            for file in (self._old, self._new)
        )
        for name in before:
            if name not in after:
                self._add("schema-renamed", OPERATION, name, "no schema of this name any more", "")


def _operations(file: OpenApiFile) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Iterate over the operations by route, each with the parameters of its path."""
    for path, node in file.content["paths"].items():
        item = _resolved(file, node) or {}
        for method in _METHODS:
            operation = item.get(method)
            if isinstance(operation, dict):
                shared = item.get("parameters") or []
                parameters = [*shared, *(operation.get("parameters") or [])]
                yield f"{method.upper()} {path}", {**operation, "parameters": parameters}


def _name(operation: Mapping[str, Any], route: str) -> str:
    return str(operation.get("operationId") or route)


def _parameters(file: OpenApiFile, operation: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    parameters: dict[str, Mapping[str, Any]] = {}
    for node in operation["parameters"]:
        parameter = _resolved(file, node) or {}
        name, place = str(parameter.get("name")), str(parameter.get("in"))
        name = name.lower() if place == "header" else name
        parameters[f"{place} parameter {name}"] = parameter
    return parameters


def _schema_of(node: Mapping[str, Any]) -> Any:
    """Return the schema of a parameter or header, or that of its content."""
    content = node.get("content")
    if isinstance(content, dict) and content:
        return next(iter(content.values())).get("schema", {})
    schema = node.get("schema", {})
    # `deprecated` of a parameter is beside its schema.
    if node.get("deprecated") is True and isinstance(schema, dict):
        return {**schema, "deprecated": True}
    return schema


def _resolved(file: OpenApiFile, node: Any) -> Mapping[str, Any] | None:
    references: set[str] = set()
    while isinstance(node, dict) and isinstance(node.get("$ref"), str):
        if node["$ref"] in references:
            return None
        references.add(node["$ref"])
        node = file.find(node["$ref"])[1]
    return node if isinstance(node, dict) else None


def _covered(responses: Mapping[str, Any], status: str) -> Any:
    """Return the response for a status, else for its range, else the default."""
    for name in (status, f"{status[0]}XX", f"{status[0]}xx", "default"):
        if name in responses:
            return responses[name]
    return None
