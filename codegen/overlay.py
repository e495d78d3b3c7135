"""Extensions for the generators of this project, absent from the published document.

`api/overlay.yaml` has a mapping for each extension: from a tag, an operationId, a schema or a
property, `Schema.property`, to the value. They are joined to the document where the client and the
table of commands are derived from it.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from codegen import CodegenError
from codegen.parts import FOLDER, OVERLAY
from synth_pools.spec.changes.parsing import (
    UnusableDocumentError,
    parse_yaml_text,
    read_document_text,
)


def join_overlay(document: dict[str, Any], root: Path) -> dict[str, Any]:
    """Return the document with the extensions of the overlay, a copy if there is one.

    Raises:
        CodegenError: The overlay cannot be read, or names a place that the document does not have.
    """
    path = root / FOLDER / OVERLAY
    if not path.is_file():
        return document
    joined = copy.deepcopy(document)
    places = _places(joined)
    try:
        text = read_document_text(path, "write the extensions there")
        content, lines = parse_yaml_text(text, path, lambda line: f"{path}:{line}")
    except UnusableDocumentError as error:
        raise CodegenError(str(error)) from None
    for extension, values in (content or {}).items():
        where = f"{path}:{lines[(extension,)]}"
        if not extension.startswith("x-") or not isinstance(values, dict):
            raise CodegenError(f"{where}: {extension}: write 'x-name:' and below it 'place: value'")
        for place, value in values.items():
            where = f"{path}:{lines[(extension, place)]}"
            node = places.get(place)
            if node is None:
                raise CodegenError(f"{where}: no tag, operation, schema or property is {place}")
            if extension in node:
                raise CodegenError(f"{where}: {place} has {extension} already; keep one of the two")
            node[extension] = value
    return joined


def _places(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Map the names of all places to their nodes; tags and operations share no name."""
    places = {tag["name"]: tag for tag in document.get("tags", ())}
    for item in document["paths"].values():
        for operation in item.values():
            if isinstance(operation, dict) and "operationId" in operation:
                places[operation["operationId"]] = operation
    for name, schema in document.get("components", {}).get("schemas", {}).items():
        places[name] = schema
        if isinstance(schema, dict):
            for key, node in schema.get("properties", {}).items():
                places[f"{name}.{key}"] = node
    return places
