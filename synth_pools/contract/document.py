"""A document as the kit reads it: operations, documented responses and schemas."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import jsonschema_rs
import yaml

from synth_pools.contract.exceptions import UnjudgeableError
from synth_pools.contract.openapi.operations import EVENT_STREAM as EVENT_STREAM
from synth_pools.contract.openapi.operations import DocumentedResponse as DocumentedResponse
from synth_pools.contract.openapi.operations import KeyPlace as KeyPlace
from synth_pools.contract.openapi.operations import Operation as Operation
from synth_pools.contract.openapi.operations import Operations as Operations
from synth_pools.contract.openapi.schemas import flaws_of, modernized, properties_of, without_enums
from synth_pools.contract.openapi.schemas import schema_name as schema_name
from synth_pools.spec import load_container_spec, load_spec, read_spec, spec_path

METHODS = ("get", "put", "post", "delete", "patch", "head", "options", "trace", "query")
# States of a rollout that has ended; `TERMINAL` lists the types of the events of these states.
FINAL = ("completed", "failed", "cancelled")
# Head of the table of error codes; each row has the code, the status and the retryability.
_CODES_HEAD = "| code | status | retryable |"
_CODE = re.compile(r"^\|\s*`(\w+)`\s*\|\s*(\d{3})\s*\|\s*([^|]*?)\s*\|", re.MULTILINE)
TERMINAL = tuple(f"rollout.{state}" for state in FINAL)


class Document:
    """The document, indexed by operation; validators are compiled on first use.

    Attributes:
        every: All operations of the document.
        operations: The operations that the backend must have.
        base_path: The path before those of the document, as in "/api/v2"; the URL of a backend may
            have another one.
    """

    def __init__(self, spec: Mapping[str, Any]) -> None:
        is_older = str(spec.get("openapi", "")).startswith("3.0")
        self._spec: Mapping[str, Any] = modernized(spec) if is_older else spec
        self.base_path = _base_path(spec)
        self._validators: dict[str, jsonschema_rs.Draft202012Validator] = {}
        self.every = Operations({op.id: op for op in self._read()})
        self.operations = self.every

    def narrow(self, names: Collection[str]) -> None:
        """Expect the backend to have only these operations."""
        expected = ((name, op) for name, op in self.operations.items() if name in names)
        self.operations = Operations(expected)

    def operation_of(self, method: str, url: str) -> Operation | None:
        """Return the operation that a request addresses; None if there is none."""
        return self._addressed(self.operations, method, url)

    def is_described(self, url: str) -> bool:
        """Return True if a URL is below the root of the API."""
        return self.path_of(url).startswith(self._root)

    def is_absent(self, method: str, url: str) -> bool:
        """Return True if a request addresses an operation that the backend need not have."""
        if self.operation_of(method, url) is not None:
            return False
        return self._addressed(self.every, method, url) is not None

    def _addressed(self, among: Operations, method: str, url: str) -> Operation | None:
        path = self.path_of(url)
        matching = (
            operation
            for operation in among.values()
            if operation.method == method.upper() and operation.ids(path) is not None
        )
        # A path without an id precedes the same path with one.
        return min(matching, key=lambda operation: len(operation.id_names), default=None)

    def path_of(self, url: str) -> str:
        """Return the part of a URL's path that the document describes, without its base."""
        path = urlsplit(url).path
        if path.startswith(f"{self.base_path}/"):
            path = path.removeprefix(self.base_path)
        start = path.find(self._root)
        return path if start < 0 else path[start:]

    @cached_property
    def _root(self) -> str:
        """The first part of all paths, as in "/v1/"; "/" if they differ, or it names a resource."""
        firsts: set[str] = set()
        for operation in self.every.values():
            first, _, second = operation.path.removeprefix("/").partition("/")
            firsts.add("" if "{" in first or not second or second.startswith("{") else first)
        return f"/{firsts.pop()}/" if len(firsts) == 1 and "" not in firsts else "/"

    @cached_property
    def is_foreign(self) -> bool:
        """True if it has no operation of the documents of this package."""
        routes = {(op.id, op.route) for op in self.every.values()}
        return bool(routes) and _own_operations().isdisjoint(routes)

    @cached_property
    def key_place(self) -> KeyPlace:
        """The place of the key, by the first security scheme that the kit can use."""
        schemes = self._spec.get("components", {}).get("securitySchemes", {})
        for name, scheme in schemes.items():
            resolved = self.resolve(scheme)
            kind, where = resolved.get("type"), str(resolved.get("in"))
            if kind == "apiKey":
                place = str(resolved["name"])
                return KeyPlace(name, where, place.lower() if where == "header" else place, "")
            if kind in ("http", "oauth2", "openIdConnect"):
                prefix = str(resolved.get("scheme", "bearer")).capitalize()
                return KeyPlace(name, prefix=f"{prefix} ")
        return KeyPlace()

    def errors(self, schema: str, value: Any) -> list[str]:
        """Validate a value against one of components.schemas.

        Args:
            schema: The name of the schema.
            value: The JSON value.

        Returns:
            Up to three complaints; none if it is valid.
        """
        return self.errors_by({"$ref": f"#/components/schemas/{schema}"}, value)

    def errors_by(self, schema: Mapping[str, Any], value: Any) -> list[str]:
        """Validate a value against an inline schema; see `errors`."""
        return [*self.flaws(schema, value).values()][:3]

    def flaws(self, schema: Mapping[str, Any], value: Any) -> dict[str, str]:
        """Validate a value against an inline schema; see `flaws_of`."""
        key = json.dumps(schema, sort_keys=True)
        schemas = self._schemas if self.is_foreign else self._open_schemas
        return flaws_of(self._validator(key, schema, schemas), value)

    def allows(self, operation: Operation, body: Any) -> bool:
        """Return True if the document calls a body of an operation valid."""
        if operation.request is None:
            return True
        key = f"request|{operation.id}"
        return self._validator(key, operation.request, self._schemas).is_valid(body)

    @property
    def documented(self) -> dict[str, tuple[str, ...]]:
        """The documented statuses by operation."""
        return {
            name: tuple(status for status in op.responses if status != "default")
            for name, op in self.operations.items()
        }

    @cached_property
    def optional(self) -> dict[str, tuple[str, ...]]:
        """The operations that a server may lack, by the feature that announces them."""
        by_feature: dict[str, tuple[str, ...]] = {}
        for name, operation in self.every.items():
            if feature := operation.feature:
                by_feature[feature] = (*by_feature.get(feature, ()), name)
        return by_feature

    @cached_property
    def event_data(self) -> dict[str, str]:
        """The names of the schemas of events' data, by the type of the event."""
        return {
            schema["x-event-type"]: name
            for name, schema in self._schemas.items()
            if "x-event-type" in schema
        }

    def properties(self, schema: str) -> Mapping[str, Any]:
        """Return the properties of one of components.schemas; none if there is no such schema."""
        return properties_of(self._schemas.get(schema), self._schemas)

    def required(self, schema: str) -> tuple[str, ...]:
        """Return the names of the properties that one of components.schemas requires."""
        node = self._schemas.get(schema)
        return tuple(node.get("required", ())) if isinstance(node, dict) else ()

    @cached_property
    def times(self) -> dict[str, tuple[str, ...]]:
        """The properties that are times, by the name of the schema."""
        return {
            name: tuple(
                field
                for field, node in self.properties(name).items()
                if isinstance(node, dict) and node.get("format") == "date-time"
            )
            for name in self._schemas
        }

    @cached_property
    def error_codes(self) -> dict[str, tuple[int, bool | None]]:
        """The status of each error code, and whether it is retryable (None: it depends)."""
        codes: dict[str, tuple[int, bool | None]] = {}
        for text in _descriptions(self._spec):
            if _CODES_HEAD in text:
                table = text.partition(_CODES_HEAD)[2].partition("\n\n")[0]
                for code, status, retryable in _CODE.findall(table):
                    codes[code] = int(status), {"yes": True, "no": False}.get(retryable)
        return codes

    @property
    def describes_errors(self) -> bool:
        """True if all errors have one form; those of containers have any."""
        return "ErrorBody" in self._schemas and not self.is_foreign

    @property
    def _schemas(self) -> Mapping[str, Any]:
        schemas: Mapping[str, Any] = self._spec.get("components", {}).get("schemas", {})
        return schemas

    @cached_property
    def _open_schemas(self) -> dict[str, Any]:
        """The schemas without enumerations: responses may have further values (Growth)."""
        return {name: without_enums(schema) for name, schema in self._schemas.items()}

    def _validator(
        self, key: str, schema: Mapping[str, Any], schemas: Mapping[str, Any]
    ) -> jsonschema_rs.Draft202012Validator:
        # Compiling takes longer than validating.
        if key not in self._validators:
            complete = {**schema, "components": {"schemas": schemas}}
            validator = jsonschema_rs.Draft202012Validator(complete, validate_formats=True)
            self._validators[key] = validator
        return self._validators[key]

    def _read(self) -> Iterator[Operation]:
        for path, item in self._spec.get("paths", {}).items():
            # An id ends at the next slash; an encoded slash is part of it.
            parts = re.split(r"\{([^{}]*)\}", path)
            pattern = re.compile("([^/]*)".join(map(re.escape, parts[::2])))
            described = {**item, **item.get("additionalOperations", {})}
            for method, raw in described.items():
                if method not in (*METHODS, *item.get("additionalOperations", {})):
                    continue
                responses = {
                    str(status): self._response(str(status), self.resolve(response))
                    for status, response in raw["responses"].items()
                }
                body = self.resolve(raw.get("requestBody", {}))
                schema = body.get("content", {}).get("application/json", {}).get("schema")
                nodes = (*item.get("parameters", ()), *raw.get("parameters", ()))
                parameters = [*map(self.resolve, nodes)]
                headers = [p for p in parameters if p.get("in") == "header"]
                query = [p for p in parameters if p.get("in") == "query"]
                security = raw.get("security", self._spec.get("security", ()))
                yield Operation(
                    raw.get("operationId") or f"{method.upper()} {path}",
                    method.upper(),
                    path,
                    next(iter(raw.get("tags", [])), ""),
                    responses,
                    pattern,
                    tuple(parts[1::2]),
                    schema,
                    body_required=body.get("required", False),
                    body_fields=tuple(self.resolve(schema or {}).get("properties", {})),
                    headers=frozenset(p["name"].lower() for p in headers),
                    feature=raw.get("x-feature", ""),
                    needs_key=bool(security) and {} not in security,
                    query={p["name"]: self.resolve(p.get("schema", {})) for p in query},
                    required_query=frozenset(p["name"] for p in query if p.get("required")),
                    **self._result(responses),
                )

    def _result(self, responses: Mapping[str, DocumentedResponse]) -> dict[str, Any]:
        """Describe the JSON of a successful answer, as attributes of `Operation`."""
        contents = (r.content for status, r in responses.items() if status.startswith("2"))
        schema = next(contents, {}).get("application/json", {})
        fields = self.resolve(schema).get("properties", {})
        lists = {name: field["items"] for name, field in fields.items() if "items" in field}
        return {
            "result": schema_name(schema),
            "item": schema_name(lists.get("items", {})),
            "lists": tuple(lists),
            "is_paged": {"items", "next_cursor"} <= fields.keys(),
        }

    def _response(self, status: str, raw: Mapping[str, Any]) -> DocumentedResponse:
        content = {
            name.split(";")[0].strip().lower(): media.get("schema", {})
            for name, media in raw.get("content", {}).items()
        }
        headers = {name: self.resolve(header) for name, header in raw.get("headers", {}).items()}
        schemas = {name: header.get("schema", {}) for name, header in headers.items()}
        required = frozenset(name for name, header in headers.items() if header.get("required"))
        return DocumentedResponse(status, content, schemas, required)

    def links(self, operation: Operation) -> Iterator[tuple[Operation, Mapping[str, str]]]:
        """Iterate over the operations that links of a success lead to, with their parameters."""
        item = self._spec["paths"][operation.path]
        raw = item.get(operation.method.lower(), {})
        for status, response in raw.get("responses", {}).items():
            if str(status).startswith("2"):
                for node in self.resolve(response).get("links", {}).values():
                    link = self.resolve(node)
                    target = self.operations.get(link.get("operationId", ""))
                    if target is not None:
                        values = link.get("parameters", {}).items()
                        yield target, {name.rpartition(".")[2]: str(text) for name, text in values}

    def check_references(self) -> None:
        """Follow every reference, since a validator meets them one by one.

        Raises:
            UnjudgeableError: One leads nowhere, or to another file.
        """
        nodes: list[Any] = [self._spec]
        while nodes:
            node = nodes.pop()
            if isinstance(node, dict):
                if isinstance(node.get("$ref"), str):
                    self.resolve(node)
                nodes += node.values()
            elif isinstance(node, list):
                nodes += node

    def resolve(self, node: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the node of the document to which the references of a node lead."""
        reference = node.get("$ref")
        if not isinstance(reference, str):
            return node
        target: Any = self._spec
        try:
            for step in reference.removeprefix("#/").split("/"):
                target = target[unquote(step).replace("~1", "/").replace("~0", "~")]
        except (KeyError, TypeError):
            raise UnjudgeableError(
                f"the document has no {reference}; one of several files has to be joined first"
            ) from None
        return self.resolve(target)


@cache
def _own_operations() -> frozenset[tuple[str, str]]:
    """Return id and route of every operation of the documents of this package."""
    return frozenset(
        (operation["operationId"], f"{method.upper()} {path}")
        for spec in (load_spec(), load_container_spec())
        for path, item in spec["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    )


def _base_path(spec: Mapping[str, Any]) -> str:
    """Return the path of the first server, with the defaults of its variables."""
    server: dict[str, Any] = next(iter(spec.get("servers") or ()), {})
    url = str(server.get("url", ""))
    for name, variable in server.get("variables", {}).items():
        url = url.replace("{" + name + "}", str(variable.get("default", "")))
    return urlsplit(url).path.rstrip("/")


def _descriptions(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "description" and isinstance(value, str):
                yield value
            else:
                yield from _descriptions(value)
    elif isinstance(node, list):
        for item in node:
            yield from _descriptions(item)


def read_specification(path: Path | None, name: str = "openapi.yaml") -> dict[str, Any]:
    """Read the document that a run judges by.

    Args:
        path: The file; the document of this package if None.
        name: The name of that document.

    Returns:
        The document as JSON.

    Raises:
        UnjudgeableError: It cannot be read, or has no paths.
    """
    try:
        file = spec_path(name) if path is None else Path(path)
        document = read_spec(file)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        line = " ".join(str(error).split())[:200]
        raise UnjudgeableError(f"the spec cannot be read: {line}") from None
    except TypeError:
        file, document = path or spec_path(name), {}
    paths = document.get("paths")
    if not isinstance(paths, dict) or not paths:
        raise UnjudgeableError(f"the spec {file} is no OpenAPI document: it has no paths")
    version = str(document.get("openapi", "2" if "swagger" in document else "3"))
    if not version.startswith("3"):
        raise UnjudgeableError(f"the spec {file} is OpenAPI {version}: write 3.0, 3.1 or 3.2")
    _complete(document, file)
    _drop_dangling_links(paths, document.get("components", {}).get("links", {}))
    return document


def _complete(document: dict[str, Any], file: Path) -> None:
    """Remove nulls, and put in what path items refer to and operations leave out."""
    _drop_nulls(document)
    paths = document["paths"]
    for path, raw_item in paths.items():
        item = paths[path] = raw_item if isinstance(raw_item, dict) else {}
        place = str(item.get("$ref", ""))
        if place.startswith("#/"):
            target: Any = document
            for step in place[2:].split("/"):
                target = target.get(step.replace("~1", "/").replace("~0", "~"), {})
            item = paths[path] = {**target, **item}
        _drop_nulls(item)
        for method in item.keys() & set(METHODS):
            if isinstance(operation := item[method], dict):
                _drop_nulls(operation)
                responses = operation.setdefault("responses", {"default": {"description": ""}})
                if isinstance(responses, dict):
                    continue
            route = f"{method.upper()} {path}"
            raise UnjudgeableError(f"the spec {file} has no operation at {route}: write an object")


def _drop_nulls(node: dict[str, Any]) -> None:
    for name in [name for name, value in node.items() if value is None]:
        del node[name]


def _drop_dangling_links(paths: Mapping[str, Any], shared: dict[str, Any]) -> None:
    """Remove links to operations that a trimmed document lacks."""
    operations = [op for item in paths.values() for op in item.values() if isinstance(op, dict)]
    ids = {operation.get("operationId") for operation in operations}
    for operation in operations:
        for response in operation.get("responses", {}).values():
            links = response.get("links")
            for name, link in list(links.items()) if isinstance(links, dict) else ():
                target: Any = shared.get(str(link.get("$ref", "")).rpartition("/")[2], link)
                if "operationId" in target and target["operationId"] not in ids:
                    del links[name]
    for name, described in list(shared.items()):
        if "operationId" in described and described["operationId"] not in ids:
            del shared[name]


def specification_text(path: Path | None, name: str = "openapi.yaml") -> str:
    """Return the text of the document; see `read_specification`."""
    return (spec_path(name) if path is None else path).read_text(encoding="utf-8")
