"""Request of an operation for curl, sync and async Python, and the command line."""

from __future__ import annotations

import json
import pprint
import re
import shlex
from typing import Any, NamedTuple
from urllib.parse import urlencode

from codegen import CodegenError
from codegen.command_operations import body_assignments
from codegen.operation_rules import EVENTS, FORM, JSON
from codegen.references import resolve, success_content
from synth_pools.cli.operations.model import CommandRow

_WIDTH = 76


class Forms(NamedTuple):
    """Request of an operation in four languages: shell, both clients, command line."""

    curl: str
    python: str
    async_: str
    command: str


def forms_of(document: dict[str, Any], method: str, path: str, row: CommandRow) -> Forms:
    """Write an operation in all forms, with the examples of the document.

    Raises:
        CodegenError: A required parameter or body has no example.
    """
    item = document["paths"][path]
    operation = item[method.lower()]
    values = {name: _example_of(document, item, name) for name in re.findall(r"{(\w+)}", path)}
    query = {
        parameter["name"]: _example_of(document, item, parameter["name"])
        for parameter in (resolve(document, node) for node in operation.get("parameters", []))
        if parameter["in"] == "query" and parameter.get("required")
    }
    media, body = _body_of(document, operation)
    answer = _answer_media(document, operation)
    return Forms(
        _curl(method, path, values, query, media, body, answer),
        _python(operation["operationId"], values, query, body, answer, is_async=False),
        _python(operation["operationId"], values, query, body, answer, is_async=True),
        _command(row, {**values, **query}, body),
    )


def _curl(
    method: str,
    path: str,
    values: dict[str, str],
    query: dict[str, str],
    media: str,
    body: Any,
    answer: str,
) -> str:
    target = re.sub(r"{(\w+)}", lambda match: values[match[1]], path)
    target += f"?{urlencode(query)}" if query else ""
    # Print a stream without buffering.
    options = "-sSN" if answer == EVENTS else "-sS"
    lines = [f"curl {options} -X {method} " if method != "GET" else f"curl {options} "]
    lines[0] += f'"$SYNTH_BACKEND_URL{target}"'
    lines.append('-H "Authorization: Bearer $SYNTH_API_KEY"')
    if media == FORM:
        for key, value in body.items():
            words = [f"{key}={item}" for item in (value if isinstance(value, list) else [value])]
            lines += [f"--data-urlencode {shlex.quote(word)}" for word in words]
    elif isinstance(body, bytes):
        lines += [f'-H "Content-Type: {media}"', "--data-binary @FILE"]
    elif body is not None:
        text = json.dumps(body)
        text = text if len(text) <= _WIDTH else json.dumps(body, indent=2)
        lines.append(f"--json {shlex.quote(text)}")
    if _is_download(answer):
        name = next(reversed(values.values())) if target.endswith("txt") else "saved.zip"
        lines.append(f"-o {name}")
    return " \\\n  ".join(lines)


def _python(
    operation: str,
    values: dict[str, str],
    query: dict[str, str],
    body: Any,
    answer: str,
    *,
    is_async: bool,
) -> str:
    call = _call(operation, values, query, body)
    keyword, name = (
        ("async ", "AsyncContainerPoolsClient") if is_async else ("", "ContainerPoolsClient")
    )
    if answer == EVENTS:
        use = f"{keyword}for event in {call}:\n    print(event)"
    else:
        call = f"await {call}" if is_async else call
        use = f"print(len({call}))" if _is_download(answer) else f"print({call})"
    block = f"{keyword}with {name}() as client:\n{_indented(use)}"
    head = f"from synth_pools import {name}\n\n"
    if not is_async:
        return head + block
    return (
        f"import asyncio\n\n{head}\nasync def main():\n{_indented(block)}\n\n\nasyncio.run(main())"
    )


def _call(operation: str, values: dict[str, str], query: dict[str, str], body: Any) -> str:
    arguments = [json.dumps(value) for value in values.values()]
    if body is not None:
        arguments.append(pprint.pformat(body, sort_dicts=False, width=_WIDTH))
    arguments += [f"{name}={json.dumps(value)}" for name, value in query.items()]
    plain = f"client.{operation}({', '.join(arguments)})"
    if len(plain) <= _WIDTH and "\n" not in plain:
        return plain
    lines = "".join(f"{argument},\n" for argument in arguments)
    return f"client.{operation}(\n{_indented(lines)}\n)"


def _command(row: CommandRow, values: dict[str, str], body: Any) -> str:
    words = ["synth-pools", *filter(None, (row.group, row.name))]
    flags = {option.name: option.flag for option in row.options}
    words += [values[place] for place in row.arguments]
    for place in values:
        if place not in row.arguments:
            words += [flags[place], values[place]]
    if row.destroys:
        words.append("--yes")
    lines = [shlex.join(words)]
    for assignment in ["@FILE"] if isinstance(body, bytes) else body_assignments(body or {}):
        word = shlex.quote(assignment)
        if len(lines[-1]) + len(word) > _WIDTH:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return " \\\n  ".join(lines)


def _example_of(document: dict[str, Any], item: dict[str, Any], name: str) -> str:
    nodes = [item, *(operation for operation in item.values() if isinstance(operation, dict))]
    listed = [parameter for node in nodes for parameter in node.get("parameters", [])]
    for parameter in (resolve(document, node) for node in listed):
        if parameter["name"] == name and "example" in parameter:
            return str(parameter["example"])
    raise CodegenError(f"openapi.yaml: the parameter {name} needs an example")


def _body_of(document: dict[str, Any], operation: dict[str, Any]) -> tuple[str, Any]:
    """Return the media type and the first example of a required body."""
    described = resolve(document, operation.get("requestBody", {}))
    if not described.get("required"):
        return "", None
    [(name, media)] = described["content"].items()
    if name not in (JSON, FORM):
        return name, b"..."
    bodies = [resolve(document, example)["value"] for example in media.get("examples", {}).values()]
    for value in [*bodies, media.get("example")]:
        if value:
            return name, _without_empty(value)
    raise CodegenError(f"openapi.yaml: the body of {operation['operationId']} needs an example")


def _without_empty(value: Any) -> Any:
    """Leave out empty lists and objects, for which the command line has no short form."""
    if not isinstance(value, dict):
        return value
    return {key: _without_empty(inner) for key, inner in value.items() if inner not in ({}, [])}


def _answer_media(document: dict[str, Any], operation: dict[str, Any]) -> str:
    media = success_content(document, operation)
    return EVENTS if EVENTS in media else next(iter(media), "")


def _is_download(answer: str) -> bool:
    return answer not in ("", JSON, EVENTS)


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" if line else "" for line in text.rstrip("\n").split("\n"))
