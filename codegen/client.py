"""Generation of the client package from openapi.yaml, through openapi-python-client."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Sequence
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
from codegen.operations import write_operations
from codegen.references import operations
from codegen.requests import write_requests

# Words of the generator around the cause, and the object that it prints for a status.
_BOILERPLATE = re.compile(
    r"WARNING parsing \S+ \S+ within \S+ ?:? ?"
    r"|for status code <\S+ object at \w+> "
    r"|Failed to parse OpenAPI document:\s*"
)


def generate_client(
    document: dict[str, Any], config: Path, templates: Path, output: Path, *, name: Path
) -> None:
    """Write the package to `output`, which must not exist yet. A warning is a failure.

    Args:
        document: The document, with the extensions of the overlay.
        config: The settings of the generator.
        templates: Our templates, before the generator's own.
        output: The folder to write.
        name: How messages call the document.

    Raises:
        CodegenError: The generator fails, or passes over something.
    """
    _check_operation_ids(name, document)
    settings = _settings(config, name, output)
    upstream = PackageLoader("openapi_python_client")
    with contextlib.redirect_stdout(io.StringIO()):
        data = GeneratorData.from_dict(models.view(document), config=settings)
        if isinstance(data, GeneratorError):
            raise CodegenError(_describe(name, document, [data]))
        models.adapt(data)
        project = Project(openapi=data, config=settings, custom_template_path=templates)
        # Templates that only amend a template of the generator include it under this prefix.
        project.env.loader = ChoiceLoader(
            [FileSystemLoader(str(templates)), upstream, PrefixLoader({"upstream": upstream})]
        )
        models.equip(project, document)
        errors = project.build()
    if errors:
        raise CodegenError(_describe(name, document, errors))
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


def _check_operation_ids(spec: Path, document: dict[str, Any]) -> None:
    """Refuse missing and repeated operation ids, which the generator ignores silently."""
    first_uses: dict[str, str] = {}
    for method, path, operation in operations(document):
        where = f"{method} {path}"
        name = operation.get("operationId")
        if not name:
            raise CodegenError(f"{spec}: {where}: no operationId")
        if name in first_uses:
            raise CodegenError(
                f"{spec}: {where}: operationId {name} is also that of {first_uses[name]}"
            )
        first_uses[name] = where


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


def _describe(spec: Path, document: dict[str, Any], errors: Sequence[GeneratorError]) -> str:
    # Errors of schemas first: operations that use a wrong schema fail because of it.
    first = min(errors, key=lambda error: "/components/" not in f"{error.header}{error.detail}")
    text = f"{first.header}: {first.detail or ''}".replace("::", ":")
    for method, path, operation in operations(document):
        # The generator names an operation by the stage in which it fails.
        places = (f"{method} {path} within", f"paths.{path}.{method.lower()}.")
        if any(place in text.replace("`", "") for place in places):
            text = _BOILERPLATE.sub("", text)
            text = f"{operation['operationId']} ({method} {path}): {text}"
            break
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"{spec}: {_one_line(text)}{more}"


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()
