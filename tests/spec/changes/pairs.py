"""Clear pairs of documents, read from pairs.yaml, with the verdict on each."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from synth_pools.spec.changes.source import OpenApiFile, read_openapi_file

Node = dict[str, Any]


class Pair(NamedTuple):
    """Two documents that differ in one thing.

    Attributes:
        name: The difference in words.
        documents: The old and the new document.
        breaks: The sides that break.
        kinds: The kinds of changes that are reported.
    """

    name: str
    documents: tuple[Node, Node]
    breaks: set[str]
    kinds: list[str]


def read_pairs() -> list[Pair]:
    text = Path(__file__).with_name("pairs.yaml").read_text(encoding="utf-8")
    return [
        Pair(
            row["name"],
            (_document(row, 0), _document(row, 1)),
            set(row["breaks"]),
            sorted(row["kinds"]),
        )
        for row in yaml.safe_load(text)
    ]


def written(folder: Path, pair: Pair) -> tuple[OpenApiFile, OpenApiFile]:
    files = []
    for name, document in zip(("old", "new"), pair.documents, strict=True):
        path = folder / f"{name}.json"
        path.write_text(json.dumps(document), encoding="utf-8")
        files.append(read_openapi_file(path))
    return files[0], files[1]


def _document(row: Node, side: int) -> Node:
    part = copy.deepcopy(row["new" if side else "old"])
    operation: Node = {"responses": {"200": {"description": "It."}}}
    if row["of"] == "operation":
        operation |= part
    elif row["of"] == "query":
        operation["parameters"] = [{"name": "q", "in": "query", **part}]
    elif row["of"] == "request":
        operation["requestBody"] = {"content": {"application/json": {"schema": part}}}
    elif row["of"] == "response":
        operation["responses"]["200"]["content"] = {"application/json": {"schema": part}}
    document: Node = {
        "openapi": row.get("openapi", ["3.1.0", "3.1.0"])[side],
        "info": {"title": "T", "version": "1.0.0"},
        "paths": {"/things": {"get": operation}},
    }
    if "info" in row:
        document["info"]["description"] = row["info"]
    components = row.get("new_components") if side else None
    components = components or row.get("components")
    if components:
        document["components"] = {"schemas": components}
    return document | part if row["of"] == "document" else document
