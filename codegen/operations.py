"""Generation of operations.py: method, path and retry class of each operation.

The generator drops extensions. The document states as `x-retry` which requests a client may repeat;
a second list could contradict it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from codegen import CodegenError
from codegen.operation_rules import JSON
from codegen.references import properties, resolve

RETRIES = ("always", "with-key", "with-id", "never")
# Repeatable in HTTP itself. The document allows it for operations of other methods.
_REPEATABLE = ("GET", "HEAD", "PUT", "DELETE")

_HEAD = '''"""What each operation is, and whether it may be sent again."""

from __future__ import annotations

from typing import Literal, NamedTuple

OperationId = Literal[{ids}]

Retry = Literal[{retries}]


class Operation(NamedTuple):
    """An operation of the document.

    Attributes:
        id: Its operationId.
        method: Its verb, in capitals.
        path: Its path, with the names of its parameters in braces.
        tag: Its first tag.
        retry: Its `x-retry`; "always" for verbs that may be repeated by their meaning.
        id_keys: The keys of its body that choose the id of what it makes.
        body_keys: The keys of its body that the document names, where others may be sent, too.
        body_type: The media type of its body, if it has one.
    """

    id: OperationId
    method: str
    path: str
    tag: str
    retry: Retry
    id_keys: tuple[str, ...] = ()
    body_keys: frozenset[str] = frozenset()
    body_type: str = "application/json"


OPERATIONS: dict[OperationId, Operation] = {{
{lines}
}}
'''


def write_operations(
    document: dict[str, Any], operations: Iterator[tuple[str, str, dict[str, Any]]], package: Path
) -> None:
    """Write the module into the generated `package`."""
    lines = {
        str(operation["operationId"]): _line(document, method, path, operation)
        for method, path, operation in operations
    }
    text = _HEAD.format(
        ids=", ".join(repr(name) for name in sorted(lines)),
        retries=", ".join(repr(name) for name in RETRIES),
        lines="\n".join(lines[name] for name in sorted(lines)),
    )
    (package / "operations.py").write_text(text, encoding="utf-8", newline="\n")


def _line(document: dict[str, Any], method: str, path: str, operation: dict[str, Any]) -> str:
    name = operation["operationId"]
    retry = operation.get("x-retry", "always" if method in _REPEATABLE else "never")
    if retry not in RETRIES:
        raise CodegenError(f"{name}: x-retry must be one of {', '.join(RETRIES)}, not {retry!r}")
    tag = next(iter(operation.get("tags", ())), "default")
    fields: list[object] = [name, method, path, tag, retry]
    if retry == "with-id":
        fields.append(_id_keys(document, path, operation))
    arguments = [repr(field) for field in fields]
    media, schema = _body(document, operation)
    keys = sorted(properties(document, schema))
    if keys:
        arguments.append(f"body_keys=frozenset({keys!r})")
    if media != JSON:
        arguments.append(f"body_type={media!r}")
    return f"{name!r}: Operation({', '.join(arguments)}),"


def _id_keys(document: dict[str, Any], path: str, operation: dict[str, Any]) -> tuple[str, ...]:
    """Find the properties `id` and `*_id` of the body that are not in the path."""
    keys = tuple(
        key
        for key in sorted(properties(document, _body(document, operation)[1]))
        if (key == "id" or key.endswith("_id")) and f"{{{key}}}" not in path
    )
    if not keys:
        raise CodegenError(f"{operation['operationId']}: x-retry is with-id, and no id in the body")
    return keys


def _body(document: dict[str, Any], operation: dict[str, Any]) -> tuple[str, Any]:
    """Return the media type and the schema of a body."""
    content = resolve(document, operation.get("requestBody", {})).get("content", {})
    media = next(iter(content), JSON)
    return media, content.get(media, {}).get("schema", {})
