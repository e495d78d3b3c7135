"""HTTP reference from openapi.yaml: a page for each tag, one of schemas, and an index."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from codegen import CodegenError
from codegen.references import operations, resolve
from codegen.site.forms import Forms, forms_of
from codegen.site.schema_tables import cell, named_type, rows_of, table
from synth_pools.cli.operations.model import CommandRow

FOLDER = "reference/http"
_LANGUAGES = ("sh", "python", "python", "sh")
_TITLES = ("curl", "Python", "Python, async", "Command line")


def http_pages(document: dict[str, Any], commands: tuple[CommandRow, ...]) -> dict[str, str]:
    """Write the pages, by their paths in the site.

    Raises:
        CodegenError: An operation has no command, or lacks an example.
    """
    info = document["info"]
    pages = {f"{FOLDER}/schemas.md": _schemas_page(document)}
    listed = []
    for tag in document["tags"]:
        tagged = [
            operation for operation in operations(document) if tag["name"] in operation[2]["tags"]
        ]
        page = f"{tag['name']}.md"
        chapters = [f"# {tag['name']}", _links(document, tag.get("description", ""))]
        for method, path, operation in tagged:
            name = operation["operationId"]
            row = _command_of(name, commands)
            listed.append(
                [
                    f"[`{name}`]({page}#{name})",
                    f"`{method} {path}`",
                    f"`{' '.join(filter(None, (row.group, row.name)))}`",
                    operation.get("summary", ""),
                ]
            )
            chapters += _operation(document, method, path, operation, row)
        pages[f"{FOLDER}/{page}"] = "\n\n".join(filter(None, chapters)) + "\n"
    overview = table(("operation", "request", "command", "what it does"), listed)
    pages[f"{FOLDER}/index.md"] = (
        f"# HTTP\n\nFrom `openapi.yaml` {info['version']}, which [is here](../../openapi.yaml).\n\n"
        f"{overview}\n\n{_links(document, info['description'])}\n"
    )
    return pages


def example_forms(document: dict[str, Any], commands: tuple[CommandRow, ...]) -> dict[str, Forms]:
    """Write every operation in all forms, by operation id."""
    return {
        operation["operationId"]: forms_of(
            document, method, path, _command_of(operation["operationId"], commands)
        )
        for method, path, operation in operations(document)
    }


def _command_of(operation: str, commands: tuple[CommandRow, ...]) -> CommandRow:
    for row in commands:
        if any(name == operation for name, _ in row.operations):
            return row
    raise CodegenError(f"{operation} has no command: make generate")


def _operation(
    document: dict[str, Any], method: str, path: str, operation: dict[str, Any], row: CommandRow
) -> Iterator[str]:
    yield f"## {operation['operationId']}"
    yield f"`{method} {path}`: {operation.get('summary', '')}."
    yield _links(document, operation.get("description", ""))
    forms = forms_of(document, method, path, row)
    for title, language, text in zip(_TITLES, _LANGUAGES, forms, strict=True):
        block = f"```{language}\n{text}\n```"
        yield f'=== "{title}"\n\n' + "\n".join(f"    {line}".rstrip() for line in block.split("\n"))
    parameters = [
        [
            f"`{parameter['name']}`",
            parameter["in"],
            named_type(parameter.get("schema", {})),
            cell(_text(parameter)),
        ]
        for parameter in _parameters(document, path, operation)
    ]
    if parameters:
        yield table(("parameter", "in", "type", "meaning"), parameters)
    body = resolve(document, operation.get("requestBody", {}))
    for media in body.get("content", {}).values():
        yield f"Body: {named_type(media.get('schema', {}))}."
        break
    answers = []
    for status, reference in operation["responses"].items():
        answer = resolve(document, reference)
        kinds = [
            named_type(media.get("schema", {}))
            + ("" if kind == "application/json" else f", {kind}")
            for kind, media in answer.get("content", {}).items()
        ]
        answers.append([f"{status}", "; ".join(kinds), cell(_text(answer))])
    yield table(("status", "answer", "meaning"), answers)


def _parameters(
    document: dict[str, Any], path: str, operation: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    for parameter in [
        *document["paths"][path].get("parameters", []),
        *operation.get("parameters", []),
    ]:
        yield resolve(document, parameter)


def _schemas_page(document: dict[str, Any]) -> str:
    chapters = ["# Schemas", "The bodies of requests and answers."]
    for name, schema in sorted(document["components"]["schemas"].items()):
        chapters += [f"## {name}", _links(document, schema.get("description", ""))]
        rows = rows_of(document, schema)
        if rows:
            chapters.append(table(("field", "type", "meaning"), rows))
        else:
            chapters.append(f"{named_type(schema)}")
    return "\n\n".join(filter(None, chapters)) + "\n"


def _text(described: dict[str, Any]) -> str:
    return " ".join(str(described.get("description", "")).split())


def _links(document: dict[str, Any], text: str) -> str:
    """Turn names of schemas in backticks into links."""
    schemas = document["components"]["schemas"]
    return re.sub(
        r"(?<!\[)`(\w+)`",
        lambda match: (
            f"[`{match[1]}`](schemas.md#{match[1].lower()})" if match[1] in schemas else match[0]
        ),
        text.strip(),
    )
