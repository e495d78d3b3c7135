"""Documented part of resources: a server may add further fields, and change those at any time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from synth_pools.contract.document import Document, schema_name

# Schemas that document further fields in words.
_WHOLE = ("ReportedUsage",)


class DocumentedFields:
    """Documented fields of the schemas of a document, with those of the resources in them.

    What callers define in free form, such as `metadata`, stays whole.
    """

    def __init__(self, document: Document) -> None:
        self._document = document
        # The schema of each field, or "" where the field stays whole.
        self._schemas: dict[str, Mapping[str, str]] = {}
        self._free = {
            name
            for operation in document.every.values()
            for name in operation.body_fields
            if name not in operation.lists
        }

    def part(self, schema: str, value: Any) -> Any:
        """Return the documented part of a value: a resource, or a list of such."""
        if isinstance(value, list):
            return [self.part(schema, item) for item in value]
        fields = self._fields(schema)
        if not fields or not isinstance(value, dict):
            return value
        return {
            name: self.part(fields[name], inner) if fields[name] else inner
            for name, inner in value.items()
            if name in fields
        }

    def _fields(self, schema: str) -> Mapping[str, str]:
        if schema not in self._schemas:
            properties = self._document.properties(schema)
            self._schemas[schema] = {
                name: "" if name in self._free else self._inner(node)
                for name, node in properties.items()
            }
        return self._schemas[schema]

    def _inner(self, node: Mapping[str, Any]) -> str:
        """Return the schema of a field, of its items, or of its only variant."""
        variants = [variant for variant in node.get("anyOf", ()) if variant.get("type") != "null"]
        inner = variants[0] if len(variants) == 1 else node.get("items", node)
        name = schema_name(inner)
        return name if name not in _WHOLE and self._document.properties(name) else ""
