"""A document as the kit reads it: operations, documented responses and schemas."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import jsonschema_rs
import yaml

from synth_pools.contract.exceptions import MissingOperationError, UnjudgeableError
from synth_pools.contract.results import shorten, status_matches
from synth_pools.spec import read_spec, spec_path

METHODS = ("get", "put", "post", "delete", "patch")
EVENT_STREAM = "text/event-stream"
# States of a rollout that has ended; `TERMINAL` lists the types of the events of these states.
FINAL = ("completed", "failed", "cancelled")
# Head of the table of error codes; each row has the code, the status and the retryability.
_CODES_HEAD = "| code | status | retryable |"
_CODE = re.compile(r"^\|\s*`(\w+)`\s*\|\s*(\d{3})\s*\|\s*([^|]*?)\s*\|", re.MULTILINE)
TERMINAL = tuple(f"rollout.{state}" for state in FINAL)


@dataclass(frozen=True, slots=True)
class DocumentedResponse:
    """One documented response.

    Attributes:
        status: The status, or a range as "5XX".
        content: The schemas by media type.
        headers: The schemas by header.
        required_headers: The headers that every such response has.
    """

    status: str
    content: Mapping[str, Mapping[str, Any]]
    headers: Mapping[str, Mapping[str, Any]]
    required_headers: frozenset[str]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation, as the document describes it.

    Attributes:
        id: Its operationId.
        method: Its HTTP method, in upper case.
        path: Its path, with the names of ids in braces.
        tag: Its first tag.
        responses: The documented responses by status.
        pattern: The pattern of its paths.
        request: The schema of its JSON body; None if it has no body.
        body_required: False if it may be called without a body.
        body_fields: The fields that the document names in the body.
        headers: The request headers that the document names, in lower case.
        feature: The feature of the servers that offer it; "" if every server does.
        result: The name of the schema of its JSON result; "" if it has none.
        item: The name of the schema of the items of that result; "" if that is no list.
        lists: The fields of that result that hold lists of items.
        is_paged: True if that result is a page, with a cursor for the next one.
    """

    id: str
    method: str
    path: str
    tag: str
    responses: Mapping[str, DocumentedResponse]
    pattern: re.Pattern[str] = field(repr=False)
    request: Mapping[str, Any] | None = field(repr=False, default=None)
    body_required: bool = True
    body_fields: tuple[str, ...] = ()
    headers: frozenset[str] = frozenset()
    feature: str = ""
    result: str = ""
    item: str = ""
    lists: tuple[str, ...] = ()
    is_paged: bool = False

    @property
    def id_names(self) -> tuple[str, ...]:
        """The names of the ids in the path."""
        return tuple(self.pattern.groupindex)

    def own_ids(self, ids: Mapping[str, str]) -> dict[str, str]:
        """Return the given ids that the path names."""
        return {name: ids[name] for name in self.id_names if name in ids}

    @property
    def route(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def streams(self) -> bool:
        """True if it answers with an event stream."""
        return any(EVENT_STREAM in response.content for response in self.responses.values())

    def response(self, status: int) -> DocumentedResponse | None:
        """Return the documented response for a status; an exact status precedes a range."""
        exact = self.responses.get(str(status))
        if exact is not None:
            return exact
        for documented, response in self.responses.items():
            if status_matches(documented, status):
                return response
        return None

    def ids(self, path: str) -> dict[str, str] | None:
        """Return the ids in an encoded path; None if the path is not this operation's."""
        match = self.pattern.fullmatch(path)
        if match is None:
            return None
        return {name: unquote(value) for name, value in match.groupdict().items()}


class Operations(dict[str, Operation]):
    """Operations by id; a missing id raises `MissingOperationError`."""

    def __missing__(self, name: str) -> Operation:
        raise MissingOperationError(name)


class Document:
    """The document, indexed by operation; validators are compiled on first use.

    Attributes:
        every: All operations of the document.
        operations: The operations that the backend must have.
    """

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self._spec = spec
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
        return self.path_of(url).startswith("/v1/")

    def is_absent(self, method: str, url: str) -> bool:
        """Return True if a request addresses an operation that the backend need not have."""
        if self.operation_of(method, url) is not None:
            return False
        return self._addressed(self.every, method, url) is not None

    def _addressed(self, among: Operations, method: str, url: str) -> Operation | None:
        path = self.path_of(url)
        for operation in among.values():
            if operation.method == method.upper() and operation.ids(path) is not None:
                return operation
        return None

    def path_of(self, url: str) -> str:
        """Return the part of a URL's path that the document describes, without its base."""
        path = urlsplit(url).path
        start = path.find("/v1/")
        return path if start < 0 else path[start:]

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
        key = json.dumps(schema, sort_keys=True)
        return _complaints(self._validator(key, schema, self._open_schemas), value)

    def allows(self, operation: Operation, body: Any) -> bool:
        """Return True if the document calls a body of an operation valid."""
        if operation.request is None:
            return True
        key = f"request|{operation.id}"
        return self._validator(key, operation.request, self._schemas).is_valid(body)

    @property
    def documented(self) -> dict[str, tuple[str, ...]]:
        """The documented statuses by operation."""
        return {name: tuple(op.responses) for name, op in self.operations.items()}

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
        return "ErrorBody" in self._schemas

    @property
    def _schemas(self) -> Mapping[str, Any]:
        schemas: Mapping[str, Any] = self._spec.get("components", {}).get("schemas", {})
        return schemas

    @cached_property
    def _open_schemas(self) -> dict[str, Any]:
        """The schemas without enumerations: responses may have further values (Growth)."""
        return {name: _without_enums(schema) for name, schema in self._schemas.items()}

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
            pattern = re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]*)", re.escape(path)))
            for method in METHODS:
                raw = item.get(method)
                if raw is None:
                    continue
                responses = {
                    str(status): self._response(str(status), self.resolve(response))
                    for status, response in raw["responses"].items()
                }
                body = self.resolve(raw.get("requestBody", {}))
                schema = body.get("content", {}).get("application/json", {}).get("schema")
                nodes = (*item.get("parameters", ()), *raw.get("parameters", ()))
                headers = [p for p in map(self.resolve, nodes) if p.get("in") == "header"]
                yield Operation(
                    raw["operationId"],
                    method.upper(),
                    path,
                    next(iter(raw.get("tags", [])), ""),
                    responses,
                    pattern,
                    schema,
                    body_required=body.get("required", False),
                    body_fields=tuple(self.resolve(schema or {}).get("properties", {})),
                    headers=frozenset(p["name"].lower() for p in headers),
                    feature=raw.get("x-feature", ""),
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
        content = {name: media.get("schema", {}) for name, media in raw.get("content", {}).items()}
        headers = {name: self.resolve(header) for name, header in raw.get("headers", {}).items()}
        schemas = {name: header.get("schema", {}) for name, header in headers.items()}
        required = frozenset(name for name, header in headers.items() if header.get("required"))
        return DocumentedResponse(status, content, schemas, required)

    def resolve(self, node: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the node of the document to which the references of a node lead."""
        reference = node.get("$ref")
        if not isinstance(reference, str):
            return node
        target: Any = self._spec
        for step in reference.removeprefix("#/").split("/"):
            target = target[step.replace("~1", "/").replace("~0", "~")]
        return self.resolve(target)


def schema_name(schema: Mapping[str, Any]) -> str:
    """Return the name that a schema refers to; "" for an inline schema."""
    return str(schema.get("$ref", "")).rpartition("/")[2]


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


def _without_enums(node: Any) -> Any:
    if isinstance(node, dict):
        # A property may be called "enum"; the keyword is always a list.
        return {
            key: _without_enums(value)
            for key, value in node.items()
            if not (key == "enum" and isinstance(value, list))
        }
    return [_without_enums(item) for item in node] if isinstance(node, list) else node


def _complaints(validator: jsonschema_rs.Draft202012Validator, value: Any) -> list[str]:
    complaints: list[str] = []
    try:
        for error in validator.iter_errors(value):
            path = "/".join(str(step) for step in error.instance_path) or "the whole"
            complaints.append(f"{path}: {shorten(error.message, 200)}")
            if len(complaints) == 3:
                break
    except (ValueError, RecursionError):
        # Nested too deeply for the validator: it cannot be judged.
        return []
    return complaints


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
        file = spec_path(name) if path is None else path
        document = read_spec(file)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        line = " ".join(str(error).split())[:200]
        raise UnjudgeableError(f"the spec cannot be read: {line}") from None
    except TypeError:
        file, document = path or spec_path(name), {}
    paths = document.get("paths")
    if not isinstance(paths, dict) or not paths:
        raise UnjudgeableError(f"the spec {file} is no OpenAPI document: it has no paths")
    _drop_dangling_links(paths)
    return document


def _drop_dangling_links(paths: Mapping[str, Any]) -> None:
    """Remove links to operations that a trimmed document lacks."""
    operations = [
        operation
        for item in paths.values()
        for operation in (item.values() if isinstance(item, dict) else ())
        if isinstance(operation, dict)
    ]
    ids = {operation.get("operationId") for operation in operations}
    for operation in operations:
        for response in operation.get("responses", {}).values():
            links = response.get("links")
            for name, link in list(links.items()) if isinstance(links, dict) else ():
                if "operationId" in link and link["operationId"] not in ids:
                    del links[name]


def specification_text(path: Path | None, name: str = "openapi.yaml") -> str:
    """Return the text of the document; see `read_specification`."""
    return (spec_path(name) if path is None else path).read_text(encoding="utf-8")
