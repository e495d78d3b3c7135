"""Reading and validation of requests (and, in tests, of responses) by openapi.yaml."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import Any, Literal
from urllib.parse import quote, unquote, unquote_plus

import jsonschema_rs

from synth_pools.backend.domain import json_text
from synth_pools.backend.domain.errors import invalid
from synth_pools.backend.domain.openapi import (
    Operation,
    Parameter,
    Shape,
    Types,
    read_operations,
    resolve,
)
from synth_pools.spec import load_container_spec, load_spec
from synth_pools.trajectories.rules import misplaced

_DOCUMENT = "urn:synth-pools:openapi"
_MESSAGE_LIMIT = 300
_FIELD_LIMIT = 20
_QUOTED_LEVELS = 50
# Validated levels of a container's answer: a reward is on the second one.
_ANSWER_LEVELS = 2
_ALTERNATIVES = frozenset({"anyOf", "oneOf"})

# The texts of each name in a query or a form, as they were sent.
_Sent = Mapping[str, list[str]]
# Delimiters of lists in one parameter; of those in percent-encoding also the character itself.
_DELIMITERS = {
    "form": re.compile(","),
    "simple": re.compile(","),
    "spaceDelimited": re.compile(r"%20|\+"),
    "pipeDelimited": re.compile(r"%7C|\|", re.IGNORECASE),
}
_INTEGER = re.compile(r"-?[0-9]{1,400}")
_NUMBER = re.compile(r"-?[0-9]{1,400}(\.[0-9]{1,400})?([eE][+-]?[0-9]{1,3})?")

ContainerOperation = Literal["get_health", "run_rollout", "get_rollout", "get_rollout_events"]


class ResponseDepartsError(Exception):
    """The response departs from openapi.yaml."""


class Contract:
    """Validators of openapi.yaml, each compiled when it is first needed."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        self.operations = read_operations(document)
        self._registry = jsonschema_rs.Registry([(_DOCUMENT, dict(document))])
        self._validators: dict[str, jsonschema_rs.Draft202012Validator] = {}

    @property
    def version(self) -> str:
        """The version of openapi.yaml."""
        return str(self.document["info"]["version"])

    def parameters(
        self,
        operation: Operation,
        path: Mapping[str, str],
        query_string: bytes,
        headers: Mapping[str, str],
    ) -> dict[str, Any]:
        """Return the values of the parameters that were sent, by their names."""
        values: dict[str, Any] = {}
        faults: list[dict[str, Any]] = []
        query = read_query(query_string) if query_string else {}
        for parameter in operation.parameters:
            sent = _values(parameter, path, query, headers)
            if not sent and not parameter.required:
                continue
            location: list[str | int] = [parameter.place, parameter.name]
            if len(sent) > 1:
                faults.append(_fault(location, "is given more than once", "duplicate"))
            elif sent:
                value = sent[0]
                if not self._is_plainly_valid(parameter.schema, value):
                    faults += map(
                        partial(_with_example, parameter),
                        self._faults(parameter.schema, value, location),
                    )
                values[parameter.name] = value
            else:
                faults.append(_fault(location, "is required", "required"))
        if faults:
            raise invalid(faults)
        return values

    def check_body(self, operation: Operation, body: Any) -> None:
        """Raise 422 if a body violates the schema of the operation."""
        if operation.body is not None and not self._is_plainly_valid(operation.body.schema, body):
            faults = list(self._faults(operation.body.schema, body, ["body"]))
            if faults:
                raise invalid(faults)

    def refuse_missing_body(self) -> None:
        """Raise 422 for a request without a required body."""
        raise invalid([_fault(["body"], "is required", "required")])

    def answer_is_valid(self, operation: Operation, status: int, document: Any) -> bool:
        """Return True if a JSON document is a valid answer, even if responses are not validated."""
        response = operation.response(status)
        schema = None if response is None else response.schemas.get("application/json")
        return schema is not None and not any(self._faults(schema, document, []))

    def first_fault(self, schema: str, value: Any) -> str | None:
        """Return the first place and fault of a value by a schema; None if it is valid."""
        for fault in self._faults(schema, value, []):
            place = "".join(
                f"[{part}]" if isinstance(part, int) else f".{part}" for part in fault["loc"]
            )
            return f"{place.removeprefix('.')}: {fault['msg']}".removeprefix(": ")
        return None

    def check_response(
        self, operation: Operation, status: int, headers: Mapping[str, str], body: bytes
    ) -> None:
        """Raise if a complete response departs from the document."""
        schema = self.check_head(operation, status, headers)
        if not headers["content-type"].startswith("text/event-stream"):
            self._require(operation, schema, json.loads(body), f"body of {status}")

    def check_event(self, operation: Operation, message: Mapping[str, str]) -> None:
        """Raise if the JSON in a message of an event stream departs from the document."""
        schema = self.check_head(operation, 200, None)
        self._require(operation, schema, json.loads(message["data"]), "event")

    def check_head(
        self, operation: Operation, status: int, headers: Mapping[str, str] | None
    ) -> str:
        """Return the schema of a response; raise if its status or headers depart from the document.

        Args:
            operation: The operation.
            status: The status.
            headers: The headers; None for an event of a stream.

        Raises:
            ResponseDepartsError: The response departs from the document.
        """
        response = operation.response(status)
        if response is None:
            raise ResponseDepartsError(f"{operation.id}: status {status} is not documented")
        if headers is None:
            return response.schemas["text/event-stream"]
        for name, schema in response.headers.items():
            if name in headers:
                value: Any = headers[name]
                if resolve(self.document, schema)[0].get("type") == "integer":
                    value = int(value)
                self._require(operation, schema, value, f"header {name}")
            elif name in response.required_headers:
                raise ResponseDepartsError(f"{operation.id}: {status} lacks the header {name}")
        if not response.schemas and "content-type" not in headers:
            return ""
        content_type = headers.get("content-type", "").partition(";")[0]
        if content_type not in response.schemas:
            raise ResponseDepartsError(f"{operation.id}: {status} is {content_type!r}")
        return response.schemas[content_type]

    def _require(self, operation: Operation, schema: str, value: Any, noun: str) -> None:
        for fault in self._faults(schema, value, []):
            place = "/".join(str(part) for part in fault["loc"])
            raise ResponseDepartsError(f"{operation.id}: {noun}: {place}: {fault['msg']}")

    def _is_plainly_valid(self, schema: str, value: Any) -> bool:
        """Return True if a value is valid; False if only a full validation can tell."""
        try:
            return self._validator(schema).is_valid(value)
        except ValueError:
            return False

    def _faults(
        self, schema: str, value: Any, location: list[str | int]
    ) -> Iterable[dict[str, Any]]:
        validator = self._validator(schema)
        try:
            if validator.is_valid(value):
                return
            errors = list(zip(range(_FIELD_LIMIT), validator.iter_errors(value), strict=False))
        except UnicodeEncodeError:
            # A key with a lone surrogate is legal JSON that the validator cannot read. The schema
            # treats all such characters alike.
            readable = json.loads(json_text.replace_surrogates(value))
            yield from self._faults(schema, readable, location)
            return
        except ValueError:
            # The validator's messages quote the value, which fails if it is nested too deeply.
            faults = list(self._faults(schema, cut(value, _QUOTED_LEVELS), location))
            yield from faults or [_fault(location, "does not satisfy the schema", "schema")]
            return
        for _, error in errors:
            yield from _innermost_errors(error, location)

    def _validator(self, schema: str) -> jsonschema_rs.Draft202012Validator:
        validator = self._validators.get(schema)
        return self._compile(schema) if validator is None else validator

    def _compile(self, schema: str) -> jsonschema_rs.Draft202012Validator:
        validator = jsonschema_rs.Draft202012Validator(
            {"$ref": f"{_DOCUMENT}#{quote(schema, safe='/~')}"},
            registry=self._registry,
            validate_formats=True,
        )
        self._validators[schema] = validator
        return validator


def raw_answer_is_valid(operation_id: str, status: int, raw: bytes) -> bool:
    """Return True if a JSON text is a valid answer of an operation; callable in another process."""
    contract = _own_contract()
    return contract.answer_is_valid(contract.operations[operation_id], status, json_text.loads(raw))


def is_answer(operation: ContainerOperation, document: Any, status: int = 200) -> bool:
    """Return True if a container's answer satisfies container.openapi.yaml.

    Only the described levels are validated: an answer may be large and deeply nested, and most of
    it has no schema.

    Args:
        operation: The operation of container.openapi.yaml.
        document: The answer, parsed.
        status: The status of the answer.
    """
    contract = _container_contract()
    outline = cut(document, _ANSWER_LEVELS)
    return contract.answer_is_valid(contract.operations[operation], status, outline)


def trajectory_fault(document: Mapping[str, Any]) -> str | None:
    """Return the first departure of a container's trajectory from ATIF; None without one."""
    schema = "/components/schemas/Trajectory"
    return _container_contract().first_fault(schema, document) or misplaced(document)


@cache
def _own_contract() -> Contract:
    return Contract(load_spec())


@cache
def _container_contract() -> Contract:
    return Contract(load_container_spec())


def cut(value: Any, levels: int) -> Any:
    """Copy a value down to a depth."""
    if isinstance(value, dict):
        if not levels:
            return {}
        return {
            key: cut(item, levels - 1) if isinstance(item, dict | list) else item
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [cut(item, levels - 1) for item in value] if levels else []
    return value


def _innermost_errors(
    error: jsonschema_rs.ValidationError, location: Sequence[str | int]
) -> Iterator[dict[str, Any]]:
    """Yield the innermost errors: "no alternative matches" does not say what to send."""
    kind: Any = error.kind
    place = [*location, *error.instance_path]
    if kind.name not in _ALTERNATIVES:
        yield _fault(place, error.message, kind.name)
        return
    candidates, types = [], list[str]()
    for faults in kind.context:
        type_faults = [fault for fault in faults if _is_of_other_type(fault, error)]
        if type_faults:
            types += [name for fault in type_faults for name in fault.kind.types]
        else:
            candidates.append(faults)
    if len(candidates) == 1:
        for fault in candidates[0]:
            yield from _innermost_errors(fault, location)
    elif candidates:
        yield _fault(place, error.message, kind.name)
    else:
        names = " or ".join(f'"{name}"' for name in dict.fromkeys(types))
        instance = json.dumps(error.instance, separators=(",", ":"))
        yield _fault(place, f"{instance} is not of type {names}", "type")


def _is_of_other_type(
    fault: jsonschema_rs.ValidationError, error: jsonschema_rs.ValidationError
) -> bool:
    return fault.kind.name == "type" and fault.instance_path == error.instance_path


def _fault(location: Iterable[str | int], message: str, kind: str) -> dict[str, Any]:
    if len(message) > _MESSAGE_LIMIT:
        # Keep both ends: the value at the start, and the allowed ones at the end.
        half_length = _MESSAGE_LIMIT // 2
        message = f"{message[:half_length]}...{message[-half_length:]}"
    return {"loc": list(location), "msg": message, "type": kind}


def _with_example(parameter: Parameter, fault: dict[str, Any]) -> dict[str, Any]:
    """Add a valid value to a fault that names a pattern alone, which few can read."""
    if fault["type"] != "pattern" or parameter.example is None:
        return fault
    return {**fault, "msg": f"{fault['msg']}, as {json.dumps(parameter.example)} does"}


def _values(
    parameter: Parameter, path: Mapping[str, str], query: _Sent, headers: Mapping[str, str]
) -> list[Any]:
    """Return the values that were sent for a parameter; several are a mistake of the client."""
    name, types = parameter.name, parameter.shape.types
    if parameter.place == "query":
        if types & {"array", "object"}:
            return _composed(parameter, query)
        return [_value(types, unquote_plus(text)) for text in query.get(name, ())]
    if parameter.place == "path":
        return [_value(types, path[name])]
    if parameter.place == "cookie":
        pairs = (pair.strip().partition("=") for pair in headers.get("cookie", "").split(";"))
        return [_value(types, unquote(text)) for key, _, text in pairs if key == name]
    header = headers.get(name.lower())
    return [] if header is None else [_value(types, header)]


def _composed(parameter: Parameter, query: _Sent) -> list[Any]:
    """Read a list, or an object."""
    texts, is_object = query.get(parameter.name, []), "object" in parameter.shape.types
    if parameter.style == "deepObject":
        start = f"{parameter.name}["
        fields = {
            key[len(start) : -1]: query[key]
            for key in query
            if key.startswith(start) and key.endswith("]")
        }
        return [read_fields(fields, parameter.shape)] if fields else []
    if parameter.is_exploded and is_object:
        fields = {key: query[key] for key in query if key in (parameter.shape.fields or {})}
        return [read_fields(fields, parameter.shape)] if fields else []
    if parameter.is_exploded:
        return (
            [[_value(parameter.shape.items, unquote_plus(text)) for text in texts]] if texts else []
        )
    lists = [_DELIMITERS[parameter.style].split(text) if text else [] for text in texts]
    if is_object:
        return [
            read_fields(
                {key: [text] for key, text in zip(*[iter(parts)] * 2, strict=False)},
                parameter.shape,
            )
            for parts in lists
        ]
    return [
        [_value(parameter.shape.items, unquote_plus(text)) for text in parts] for parts in lists
    ]


def read_query(query_string: bytes) -> dict[str, list[str]]:
    """Split a query, or a form; the texts are still in percent-encoding."""
    query: dict[str, list[str]] = {}
    # Latin-1 keeps all bytes that a client may have sent unencoded.
    for pair in query_string.decode("latin-1").split("&"):
        name, _, text = pair.partition("=")
        if pair:
            query.setdefault(unquote_plus(name), []).append(text)
    return query


def read_fields(fields: _Sent, shape: Shape) -> dict[str, Any]:
    """Read the properties of an object; one that is a list may be there several times."""
    values: dict[str, Any] = {}
    for key, texts in fields.items():
        field = shape.field(key)
        words = [unquote_plus(text) for text in texts]
        if "array" in field.types:
            values[key] = [_value(field.items, word) for word in words]
        else:
            values[key] = _value(field.types, words[-1])
    return values


def _value(types: Types, text: str) -> Any:
    if "integer" in types and _INTEGER.fullmatch(text):
        return int(text)
    if "number" in types and _NUMBER.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    if "boolean" in types and text in ("true", "false"):
        return text == "true"
    return text
