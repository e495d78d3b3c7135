"""Generation of the client package from openapi.yaml, through openapi-python-client."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, FileSystemLoader, PackageLoader, PrefixLoader
from openapi_python_client import Project
from openapi_python_client.config import Config, ConfigFile, MetaType
from openapi_python_client.parser import GeneratorData
from openapi_python_client.parser.errors import GeneratorError
from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from codegen import CodegenError, models, typed
from codegen.operation_rules import types_of
from codegen.operations import write_operations
from codegen.references import operations, resolve
from codegen.requests import write_requests
from synth_pools.spec.changes.source import OpenApiFile

# Words of the generator around the cause, and the object that it prints for a status.
_BOILERPLATE = re.compile(
    r"WARNING parsing \S+ \S+ within \S+ ?:? ?"
    r"|(for status code )?\"?<\S+ object at \w+>\"? ?"
    r"|Failed to parse OpenAPI document:\s*"
)
_DELIMITERS = {"form": ",", "spaceDelimited": "%20", "pipeDelimited": "%7C", "simple": ""}


def generate_client(
    document: dict[str, Any], config: Path, templates: Path, output: Path, *, file: OpenApiFile
) -> None:
    """Write the package to `output`, which must not exist yet. A warning is a failure.

    Args:
        document: The document, with the extensions of the overlay.
        config: The settings of the generator.
        templates: Our templates, before the generator's own.
        output: The folder to write.
        file: The document as it is written, with its lines.

    Raises:
        CodegenError: The generator fails, or passes over something.
    """
    settings = _settings(config, file.path, output)
    # The generator knows few media types, and reads an unknown one as bytes only by this name.
    overrides = dict.fromkeys(models.media_types_of_bytes(document), models.BYTES)
    settings.content_type_overrides.update(overrides)
    upstream = PackageLoader("openapi_python_client")
    with contextlib.redirect_stdout(io.StringIO()):
        data = GeneratorData.from_dict(models.view(document), config=settings)
        if isinstance(data, GeneratorError):
            raise CodegenError(_describe(file, [data]))
        models.adapt(data)
        project = Project(openapi=data, config=settings, custom_template_path=templates)
        # Templates that only amend a template of the generator include it under this prefix.
        project.env.loader = ChoiceLoader(
            [FileSystemLoader(str(templates)), upstream, PrefixLoader({"upstream": upstream})]
        )
        models.equip(project, document)
        project.env.globals["styles"] = dict(_styles(document))
        errors = project.build()
    if errors:
        raise CodegenError(_describe(file, errors))
    reading = project.env.get_template("reading.py.jinja").render()
    (output / "reading.py").write_text(reading, encoding="utf-8")
    typed.write_typed(project, document, output)
    write_operations(document, operations(document), output)
    write_requests(document, output)
    # `meta: none` omits the marker without which type checkers ignore the package.
    (output / "py.typed").write_bytes(b"")


def _read_mapping(path: Path) -> dict[str, Any]:
    try:
        document = YAML(typ="safe").load(path.read_bytes())
    except OSError as error:
        raise CodegenError(f"{path}: {error.strerror}") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise CodegenError(f"{path}: not YAML: {_one_line(str(error))}") from None
    if not isinstance(document, dict):
        raise CodegenError(f"{path}: not a mapping at its top level")
    return document


def _settings(config: Path, spec: Path, output: Path) -> Config:
    values = _read_mapping(config)
    unknown = sorted(values.keys() - ConfigFile.model_fields.keys())
    if unknown:
        raise CodegenError(f"{config}: unknown setting: {', '.join(unknown)}")
    try:
        file = ConfigFile(**values)
    except ValidationError as error:
        raise CodegenError(f"{config}: {_one_line(str(error))}") from None
    return Config.from_sources(
        config_file=file,
        meta_type=MetaType.NONE,
        document_source=spec,
        file_encoding="utf-8",
        overwrite=False,
        output_path=output,
    )


def _styles(document: dict[str, Any]) -> Iterator[tuple[tuple[str, str], str]]:
    """Iterate over the parameters of queries that are more than `name=value`, with their styles."""
    for _, path, operation in operations(document):
        nodes = (*document["paths"][path].get("parameters", ()), *operation.get("parameters", ()))
        for node in (resolve(document, node) for node in nodes):
            types = types_of(document, node.get("schema", {}))
            style = str(node.get("style", "form"))
            if style == "form" and node.get("explode", True):
                style = "form" if "object" in types else ""
            elif style != "deepObject":
                style = _DELIMITERS[style] if types & {"array", "object"} else ""
            if node["in"] == "query" and style:
                yield (operation["operationId"], node["name"]), style


def _describe(file: OpenApiFile, errors: Sequence[GeneratorError]) -> str:
    # Errors of schemas first: operations that use a wrong schema fail because of it.
    first = min(errors, key=lambda error: "/components/" not in f"{error.header}{error.detail}")
    text = f"{first.header}: {first.detail or ''}".replace("::", ":")
    where = str(file.path)
    if schema := re.search(r"components[/.]schemas[/.](\w+)", text):
        where = f"{file.at(('components', 'schemas', schema[1]))}: components.schemas.{schema[1]}"
    for method, path, operation in operations(file.content):
        # The generator names an operation by the stage in which it fails.
        places = (f"{method} {path} within", f"paths.{path}.{method.lower()}.")
        if any(place in text.replace("`", "") for place in places):
            where = file.at(("paths", path, method.lower()))
            where = f"{where}: {operation['operationId']} ({method} {path})"
            break
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"{where}: {_one_line(_BOILERPLATE.sub('', text))}{more}"


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()
