"""Rules of openapi.yaml that no linter has; each problem is one line, with place and correction.

They are checked before generators and linters, which ignore some of these mistakes and answer
others with pages of output.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from codegen import CodegenError
from codegen.operation_rules import operation_problems
from codegen.parts import FOLDER, PATHS, JoinedDocument
from codegen.references import COMPOSED, circles, contents, operations, parameters, schemas
from codegen.schema_rules import schema_problems
from synth_pools.spec.changes.parsing import UnusableDocumentError
from synth_pools.spec.changes.source import OpenApiFile, parse_openapi_text, read_openapi_file

_TYPED = {"type", "$ref", "enum", "const", *COMPOSED}
# Words in the description of a schema without a type.
_ANY = ("free-form", "any json")


def read_spec_file(path: Path) -> OpenApiFile:
    """Read a document and check it against the rules.

    Raises:
        CodegenError: It is no OpenAPI document, or breaks a rule; one line for each.
    """
    try:
        file = read_openapi_file(path)
    except UnusableDocumentError as error:
        raise CodegenError(str(error)) from None
    return _keep_rules(file)


def read_joined_spec(document: JoinedDocument) -> OpenApiFile:
    """Read the joined openapi.yaml, with its lines located in the parts, and check the rules.

    Raises:
        CodegenError: It is no OpenAPI document, or breaks a rule; one line for each.
    """
    try:
        file = parse_openapi_text(document.text, document.path, document.locate)
    except UnusableDocumentError as error:
        raise CodegenError(str(error)) from None
    problems = [*circles(file)] or [*operation_problems(file), *schema_problems(file)]
    lines = [f"{file.at(pointer)}: {problem}" for pointer, problem in problems]
    return _keep_rules(file, *misplaced_operations(file), *dict.fromkeys(lines))


def version_of(file: OpenApiFile) -> tuple[int, int, int]:
    """Return the version of a document of ours, by whose steps its changes are judged.

    Raises:
        CodegenError: It is not written as 1.2.0.
    """
    if file.version is None:
        where = file.at(("info", "version"))
        raise CodegenError(
            f"{where}: info.version is {file.version_text!r}; write a version as 1.2.0"
        )
    return file.version


def _keep_rules(file: OpenApiFile, *problems: str) -> OpenApiFile:
    version_of(file)
    if not str(file.content["openapi"]).startswith("3.1"):
        problems = (f"{file.at(('openapi',))}: write openapi: 3.1.0", *problems)
    problems = (*problems, *untyped_schemas(file), *missing_examples(file))
    if problems:
        raise CodegenError("\n".join(problems))
    return file


def misplaced_operations(file: OpenApiFile) -> Iterator[str]:
    """Iterate over the operations outside the part of their tag."""
    for method, path, operation in operations(file.content):
        tags = operation.get("tags")
        where = file.at(("paths", path, method.lower()))
        part = Path(where.rpartition(":")[0])
        if tags and part.parent.name == PATHS and part.stem != tags[0]:
            yield f"{where}: its tag is {tags[0]}; write it in {FOLDER}/{PATHS}/{tags[0]}.yaml"


def untyped_schemas(file: OpenApiFile) -> Iterator[str]:
    """Iterate over the schemas without a type that do not say that they accept any value.

    Generators silently accept any value for a schema without a type.
    """
    for pointer, node in schemas(file):
        if not isinstance(node, dict) or _TYPED & node.keys():
            continue
        if pointer[-2] in COMPOSED and node and node.keys() <= {"required", "not"}:
            # This alternative only lists required properties.
            continue
        description = " ".join(str(node.get("description", "")).lower().split())
        if not any(word in description for word in _ANY):
            name = ".".join(str(step) for step in pointer if step != "properties")
            yield (
                f"{file.at(pointer)}: {name} has no type: write 'type: string', or what it is; "
                "if any value is meant, say 'Any JSON value' in its description"
            )


def missing_examples(file: OpenApiFile) -> Iterator[str]:
    """Iterate over the bodies and parameters without an example."""
    for method, path, operation in operations(file.content):
        for pointer, content in contents(file, ("paths", path, method.lower()), operation):
            for media, described in content.items():
                if not _is_binary(described) and not _has_example(described):
                    where = "/".join(str(step) for step in pointer[3:])
                    yield (
                        f"{file.at((*pointer, media))}: {operation.get('operationId')}: "
                        f"{where} has no example: write 'examples:' beside its 'schema:'"
                    )
    for pointer, parameter in parameters(file):
        if not _has_example(parameter):
            yield (
                f"{file.at(pointer)}: parameter {parameter.get('name')} has no example: "
                "write 'example:' beside its 'schema:'"
            )


def _is_binary(described: Any) -> bool:
    # An example of bytes explains nothing.
    schema = described.get("schema") if isinstance(described, dict) else None
    return not schema or (isinstance(schema, dict) and schema.get("format") == "binary")


def _has_example(node: Any) -> bool:
    return isinstance(node, dict) and bool("example" in node or node.get("examples"))
