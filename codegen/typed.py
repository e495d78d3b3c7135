"""Typed access: for each tag a class whose methods take and return the generated models.

The generator's own parser and templates write it into the generated package, since all of it
follows from openapi.yaml. The sender of the calls is passed in, so that the package imports none of
our modules and the client has a single transport.
"""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

from openapi_python_client import Project
from openapi_python_client.parser.openapi import Endpoint
from openapi_python_client.parser.properties import Class, ModelProperty
from openapi_python_client.parser.properties.file import FileProperty
from openapi_python_client.parser.properties.protocol import PropertyProtocol
from openapi_python_client.schema import UntrustedString
from openapi_python_client.strings import safe_for_docstring

from codegen import CodegenError, unasync
from codegen.references import resolve

ASYNC = "typed/_async"
SYNC = "typed/_sync"

_EVENT_STREAM = "text/event-stream"
# Parameters of a page of a stream, which the stream itself does not take.
_OF_PAGES = ("format", "limit")
# Extension with the name of the method that returns the JSON answer of a stream's operation.
_JSON_METHOD = "x-json-method"
_WIDTH = 88
# Types of checked arguments; arguments of other types are not checked.
_KINDS = {
    "StringProperty": "str",
    "LiteralEnumProperty": "str",
    "IntProperty": "int",
    "FloatProperty": "float",
    "BooleanProperty": "bool",
    "ListProperty": "list",
    "BytesProperty": "bytes",
}


def write_typed(project: Project, document: dict[str, Any], package: Path) -> None:
    """Write the async form below `package` and derive the sync one from it."""
    folder = package / ASYNC
    folder.mkdir(parents=True)
    (package / "typed/__init__.py").write_text(
        '"""The operations on models instead of plain JSON, sync and async."""\n', encoding="utf-8"
    )
    described = {
        tag["name"]: prose(_first_paragraph(tag.get("description", "")))
        for tag in document.get("tags", ())
    }
    collections = project.openapi.endpoint_collections_by_tag
    tags = [
        (tag, described.get(tag) or f"The operations tagged `{tag}`.")
        for tag in sorted(collections)
    ]
    for name in ("__init__", "calls"):
        template = project.env.get_template(f"typed/{name}.py.jinja")
        (folder / f"{name}.py").write_text(template.render(tags=tags), encoding="utf-8")
    template = project.env.get_template("typed/tag.py.jinja")
    for tag, description in tags:
        endpoints = collections[tag].endpoints
        operations = [_Operation(project, document, endpoint) for endpoint in endpoints]
        operations.sort(key=lambda operation: operation.name)
        text = template.render(tag=tag, description=description, operations=operations)
        (folder / f"{tag}.py").write_text(text, encoding="utf-8")
    unasync.derive_tree(folder, package / SYNC, label=ASYNC, with_banner=False)


class _Operation:
    """Operation as the template needs it."""

    def __init__(self, project: Project, document: dict[str, Any], endpoint: Endpoint) -> None:
        self.name = str(endpoint.name)
        self.endpoint = endpoint
        item, self._spec = _find(document, self.name)
        self.event = self._model(project, document, _EVENT_STREAM)
        self.page = self._model(project, document, "application/json") if self.event else None
        self.page_method = str(self._spec.get(_JSON_METHOD, ""))
        if self.page is not None and not self.page_method.isidentifier():
            raise CodegenError(f"{self.name}: answers a stream and JSON, and has no {_JSON_METHOD}")
        self.answer = self._answer()
        self.is_content = isinstance(self.answer, FileProperty)
        answer = self.answer
        self.model = answer.class_info.name if isinstance(answer, ModelProperty) else ""
        self.imports = set(endpoint.relative_imports)
        for model in (self.event, self.page):
            if model is not None:
                self.imports.add(f"from ...models.{model.module_name} import {model.name}")
        body = endpoint.bodies[0].prop if len(endpoint.bodies) == 1 else None
        self.body_kind = self.kind(body)
        self.docstring = self._docstring(document, item)

    @staticmethod
    def kind(argument: PropertyProtocol | None) -> str:
        if isinstance(argument, ModelProperty):
            return str(argument.class_info.name)
        return _KINDS.get(type(argument).__name__, "object")

    @property
    def stream_query(self) -> list[PropertyProtocol]:
        """Query parameters of its stream, or of its only answer."""
        query: list[PropertyProtocol] = [
            *self.endpoint.query_parameters,
            *self.endpoint.cookie_parameters,
        ]
        if self.page is None:
            return query
        return [parameter for parameter in query if not _is_of_pages(parameter)]

    @property
    def page_query(self) -> list[PropertyProtocol]:
        """Query parameters of a page: its position and its length."""
        parameters: list[PropertyProtocol] = [*self.endpoint.query_parameters]
        query = {str(parameter.python_name): parameter for parameter in parameters}
        if "after_sequence" in query:
            # The only position that a page itself returns.
            return [query[name] for name in query if name in ("after_sequence", "limit")]
        return [query[name] for name in query if name != "format_"]

    def _model(self, project: Project, document: dict[str, Any], media_type: str) -> Class | None:
        """Find the model of a successful answer of a media type; of an event for a stream."""
        for status, response in self._spec["responses"].items():
            content = resolve(document, response).get("content", {})
            if str(status).startswith("2") and media_type in content:
                reference = content[media_type]["schema"]["$ref"]
                name = UntrustedString(reference.rpartition("/")[2])
                return Class.from_string(string=name, config=project.config)
        return None

    def _answer(self) -> PropertyProtocol | None:
        """Find the type of a successful response; None for the events of a stream."""
        if self.event is not None:
            return None
        responses = {}
        for response in self.endpoint.responses.patterns:
            first, _ = response.status_code.range or (0, 0)
            if first // 100 == 2:
                responses[response.prop.get_type_string()] = response
        if len(responses) != 1:
            count = len(responses)
            raise CodegenError(f"{self.name}: a typed form needs one type of answer: {count}")
        (response,) = responses.values()
        return response.prop

    def _docstring(self, document: dict[str, Any], item: dict[str, Any]) -> str:
        summary = self._spec.get("summary") or self.name
        paragraphs = [f"{summary.strip().removesuffix('.')}."]
        paragraphs.append(_first_paragraph(self._spec.get("description", "")))
        references = (*item.get("parameters", ()), *self._spec.get("parameters", ()))
        parameters = [resolve(document, reference) for reference in references]
        descriptions = {node["name"]: node.get("description", "") for node in parameters}
        parts = [prose(paragraph) for paragraph in paragraphs if paragraph.strip()]
        described = []
        for argument in self.endpoint.list_all_parameters():
            if self.page is not None and _is_of_pages(argument):
                continue
            text = descriptions.get(argument.name.get_untrusted_value(), "")
            if not text and argument.description is not None:
                text = argument.description.get_untrusted_value()
            if text.strip():
                line = f"{argument.python_name}: {_first_paragraph(text)}"
                line = prose(line, indent="    ")
                described.append(textwrap.indent(line, "    "))
        if described:
            parts.append("\n".join(["Args:", *described]))
        return "\n\n".join(parts)


def _first_paragraph(text: str) -> str:
    return text.strip().partition("\n\n")[0]


def _is_of_pages(parameter: PropertyProtocol) -> bool:
    return str(parameter.name.get_untrusted_value()) in _OF_PAGES


def _find(document: dict[str, Any], name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    for item in document["paths"].values():
        for operation in item.values():
            if isinstance(operation, dict) and operation.get("operationId") == name:
                return item, operation
    raise CodegenError(f"{name}: its operationId is not a Python name in lower case")


def prose(text: str, *, indent: str = "") -> str:
    """Wrap a paragraph for a docstring, escaped so that it cannot end the docstring."""
    safe = safe_for_docstring(UntrustedString(" ".join(text.split())))
    return textwrap.fill(
        safe, _WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
