"""Workflows of Arazzo (OpenAPI Initiative, 1.0): which operations make, read, list and delete."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from synth_pools.contract.document import Document, Operation
from synth_pools.contract.exceptions import UnjudgeableError
from synth_pools.contract.roles.subject import Resource, named_body, read_yaml, subject_of

_STEP_OUTPUT = re.compile(r"\$steps\.([A-Za-z0-9_.-]+?)\.outputs\.([A-Za-z0-9_.-]+)")
_BODY = re.compile(r"\$response\.body#/(.+)")
# The id of the first item of a list, for example: items/0/id.
_IN_LIST = re.compile(r"(?:(.*)/)?[0-9]+/(.+)")
_OPERATION_PATH = re.compile(r".*#/paths/([^/]+)/([a-z]+)")
_INPUT = re.compile(r"\{?\$inputs\.([A-Za-z0-9_.-]+)\}?")
_EMBEDDED_INPUT = re.compile(r"\{\$inputs\.[A-Za-z0-9_.-]+\}")
# Parameters with the size of a page, which others than these may be, too.
_SIZES = re.compile(
    r"(?:^|[_-])(?:limit|size|count)$|page_?size|per_?page|max_?results", re.IGNORECASE
)
_KEY_HEADER = "idempotency-key"
_ROLES = {"GET": "read", "PUT": "replace", "DELETE": "delete"}


class _Step(NamedTuple):
    """Step of a workflow.

    Attributes:
        operation: Its operation.
        values: The values of its parameters, by name and place.
        body: The body that it sends; None for none.
        outputs: The places in the body of its answer, by the names of its outputs.
    """

    operation: Operation
    values: Mapping[tuple[str, str], Any]
    body: Any
    outputs: Mapping[str, str]


def read_roles(file: Path, document: Document) -> dict[str, Resource]:
    """Read a subject file, or the roles that the steps of an Arazzo document have.

    Args:
        file: The file.
        document: The document of the operations.

    Raises:
        UnjudgeableError: It cannot be read, names what there is not, or makes nothing.
    """
    content = read_yaml(file)
    if not isinstance(content, dict) or "arazzo" not in content:
        return subject_of(file, content, document)
    subject: dict[str, Resource] = {}
    try:
        for workflow in content["workflows"]:
            steps = dict(_steps(file, content, workflow, document))
            for resource in _resources(document, steps):
                subject.setdefault(resource.name, resource)
    except (AttributeError, KeyError, TypeError) as error:
        raise UnjudgeableError(
            f"{file} is no Arazzo document: {type(error).__name__}: {error}"
        ) from None
    if not subject:
        raise UnjudgeableError(
            f"{file}: no workflow makes a resource whose id a later step names: give an output of"
            " the creation as the id of that step, as in `value: $steps.create.outputs.id`"
        )
    return subject


def _steps(
    file: Path, content: Mapping[str, Any], workflow: Mapping[str, Any], document: Document
) -> Iterator[tuple[str, _Step]]:
    """Iterate over the steps of a workflow that call an operation, by their ids."""
    schemas = (workflow.get("inputs") or {}).get("properties") or {}
    components = content.get("components") or {}
    for step in workflow["steps"]:
        name = step.get("operationId", "")
        if path := step.get("operationPath"):
            match = _OPERATION_PATH.fullmatch(path)
            place = match[1].replace("~1", "/").replace("~0", "~") if match else path
            name = f"{match[2].upper()} {place}" if match else path
        name = re.sub(r"^\$sourceDescriptions\.[^.]+\.", "", name)
        if not name:
            # Another workflow.
            continue
        operation = document.every.named(name)
        if operation is None:
            raise UnjudgeableError(f"{file}: {step['stepId']}: no operation is {name!r}")
        values: dict[tuple[str, str], Any] = {}
        for parameter in [*workflow.get("parameters", []), *step.get("parameters", [])]:
            if reference := parameter.get("reference"):
                shared = (components.get("parameters") or {})[reference.rpartition(".")[2]]
                parameter = {**shared, **parameter}
            value = _with_examples(parameter.get("value"), schemas)
            values[parameter["name"], parameter.get("in", "")] = value
        body = (step.get("requestBody") or {}).get("payload")
        if isinstance(body, str):
            # A template of JSON, or all of it an input.
            with contextlib.suppress(ValueError):
                body = json.loads(body)
        body = _with_examples(body, schemas)
        outputs = {
            output: match[1]
            for output, text in (step.get("outputs") or {}).items()
            if (match := _BODY.fullmatch(str(text)))
        }
        yield (
            step["stepId"],
            _Step(operation, values, None if isinstance(body, str) else body, outputs),
        )


def _with_examples(value: Any, schemas: Mapping[str, Any]) -> Any:
    """Return a value with an example of each input in its place."""
    if isinstance(value, dict):
        return {name: _with_examples(item, schemas) for name, item in value.items()}
    if isinstance(value, list):
        return [_with_examples(item, schemas) for item in value]
    if not isinstance(value, str):
        return value
    if (match := _INPUT.fullmatch(value)) is None:
        return _EMBEDDED_INPUT.sub(lambda text: str(_with_examples(text[0], schemas)), value)
    schema = schemas.get(match[1]) or {}
    examples = [*schema.get("examples", []), *schema.get("enum", []), "{name}"]
    return schema.get("default", schema.get("example", examples[0]))


def _resources(document: Document, steps: Mapping[str, _Step]) -> Iterator[Resource]:
    """Iterate over the resources that steps make and later ones name."""
    # The resources by the steps that make them.
    names: dict[str, str] = {}
    for number, (name, creation) in enumerate(steps.items(), 1):
        operation = creation.operation
        roles: dict[str, Any] = {}
        for later in itertools.islice(steps.values(), number, None):
            roles |= _role(name, creation, later, steps)
        parent = ""
        for source in filter(None, map(_source, _ids(creation))):
            parent = source[0]
        # A parent that a step found, and did not make, cannot be made.
        if operation.method != "POST" or "parameter" not in roles or parent not in ("", *names):
            continue
        names[name] = operation.id
        for header, place in creation.values:
            if place == "header" and header.lower() == _KEY_HEADER:
                roles["idempotency"] = header
        yield Resource(
            name=operation.id,
            create=operation.id,
            body=named_body(document, operation, creation.body),
            ids=_fixed(creation),
            parent=names.get(parent, ""),
            **roles,
        )


def _role(name: str, creation: _Step, later: _Step, steps: Mapping[str, _Step]) -> dict[str, Any]:
    """Return the roles that a later step shows."""
    target, ids = later.operation, _ids(later)
    if target.method == "GET" and target.path == creation.operation.path:
        return _list_roles(later, steps)
    if len(ids) != len(target.id_names) or not ids:
        return {}
    # The last id is its own, the others those of its parents.
    source = _source(ids[-1])
    if source is None or source[0] != name or source[1] not in creation.outputs:
        return {}
    place = creation.outputs[source[1]].replace("/", ".")
    roles = {"id": place, "parameter": target.id_names[-1]}
    if target.streams:
        roles["events"] = target.id
    elif target.method in _ROLES and target.path.endswith("}"):
        # The operations of longer paths are of its parts, or may do anything.
        roles[_ROLES[target.method]] = target.id
    return roles


def _list_roles(step: _Step, steps: Mapping[str, _Step]) -> dict[str, Any]:
    """Return the roles of a list: an output names an item, and a query its next page or size."""
    roles: dict[str, Any] = {}
    for place in step.outputs.values():
        if match := _IN_LIST.fullmatch(place):
            items = (match[1] or "").replace("/", ".")
            roles |= {"list": step.operation.id, "items": items}
            roles["item_id"] = match[2].replace("/", ".")
    for (parameter, place), value in step.values.items():
        source = _source(value)
        if place == "query" and type(value) is int and _SIZES.search(parameter):
            roles["limit"] = parameter
        former = steps.get(source[0]) if source else None
        if place == "query" and source and former and former.operation.id == step.operation.id:
            following = former.outputs.get(source[1], "")
            roles |= {"cursor": parameter, "next": following.replace("/", ".")}
    return roles


def _ids(step: _Step) -> list[Any]:
    """Return the values of the ids in the path of a step, in their order."""
    values = step.values
    return [values[name, "path"] for name in step.operation.id_names if (name, "path") in values]


def _fixed(step: _Step) -> dict[str, str]:
    """Return the ids in the path of a step that are constant."""
    return {
        name: str(value)
        for name in step.operation.id_names
        if not str(value := step.values.get((name, "path"), "$")).startswith("$")
    }


def _source(value: Any) -> tuple[str, str] | None:
    """Return the step and the output that are the source of a value; None for another one."""
    match = _STEP_OUTPUT.fullmatch(value) if isinstance(value, str) else None
    return None if match is None else (match[1], match[2])
