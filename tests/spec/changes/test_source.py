"""Documents that cannot be compared: an error of one line with file, line and correction."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

import pytest

from synth_pools.spec import spec_path
from synth_pools.spec.changes.comparison import compare_documents
from synth_pools.spec.changes.parsing import UnusableDocumentError, kind_of
from synth_pools.spec.changes.source import read_openapi_file

GOOD = """\
openapi: 3.1.0
info:
  title: T
  version: 1.0.0
paths:
  /v1/things:
    get:
      operationId: list
      responses:
        200:
          description: They.
          content:
            application/json:
              schema:
                $ref: '#/components/schemas/Thing'
components:
  schemas:
    Thing:
      type: object
      properties:
        enum:
          type: string
        $ref:
          type: string
      examples:
        - $ref: '#/nowhere'
          required: 3
"""


def said_of(tmp_path: Path, content: str | bytes) -> str:
    path = tmp_path / "api.yaml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(UnusableDocumentError) as caught:
        read_openapi_file(path)
    message = str(caught.value)
    assert message.startswith(f"{path}:")
    assert "\n" not in message
    return message.removeprefix(f"{path}:")


def test_a_document_has_the_line_of_every_part(tmp_path: Path) -> None:
    path = tmp_path / "api.yaml"
    path.write_text(GOOD)
    file = read_openapi_file(path)
    assert file.version == (1, 0, 0)
    assert file.at(("paths", "/v1/things", "get", "responses", "200")) == f"{path}:10"
    assert file.at(("components", "schemas", "Thing", "type")) == f"{path}:19"
    # A pointer without a line has the line of the enclosing part.
    assert file.at(("components", "schemas", "Thing", "required")) == f"{path}:18"


def test_json_is_read_as_well(tmp_path: Path) -> None:
    path = tmp_path / "api.json"
    path.write_text(json.dumps(read_openapi_file(spec_path()).content))
    assert read_openapi_file(path).content == read_openapi_file(spec_path()).content


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("openapi: 3.1.0", "openapi: 2.0.0", "1: openapi is '2.0.0'; write openapi: 3.1.0"),
        ("openapi: 3.1.0", "openapi: 3.1", "1: openapi is 3.1; write openapi: 3.1.0"),
        ("openapi: 3.1.0", "swagger: '2.0'", "1: openapi is None; write openapi: 3.1.0"),
        ("schemas/Thing'", "schemas/Thin'", "15: .*write #/components/schemas/Thing"),
        ("schemas/Thing'", "schemas/Zebra'", "15: .*#/components/schemas has no 'Zebra': add it"),
        ("'#/components", "'other.yaml#/components", "15: .*write the path of a YAML or JSON file"),
        ("'#/components", "'https://a.b/c.yaml#/a", "15: .*nothing is fetched from an address"),
        ("      type: object", "      type: 3", "19: type is 3; write the name of a type"),
        ("          type: string\n        $ref", "          3\n        $ref", "21: enum in prop"),
        ("title: T", "title: T\n  title: U", "4: 'title' is there already, at .*:3; keep one"),
        ("title: T", "title: {T", r"\d: not YAML: .*; write YAML or JSON"),
        ("title: T", "title: *T", "3: not YAML: found undefined alias; write YAML or JSON"),
        ("title: T", "[a]: T", "3: a key that is no text; write a text"),
        ("paths:", "security: [[a]]\npaths:", r"5: \['a'\] in security; write an object"),
        ("paths:", "servers: /v1\npaths:", "5: servers is '/v1'; write a list of servers"),
        ("paths:", "servers: [/v1]\npaths:", "5: '/v1' in servers; write an object, as url: /v1"),
        ("paths:", "paths:\n  /x: {get: 5}", "6: get is 5; write an operation"),
        ("paths:", "paths:\n  /x: {parameters: [5]}", "6: 5 in parameters; write an object"),
    ],
)
def test_a_bad_line_is_named_with_what_to_write(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in GOOD
    assert re.match(message, said_of(tmp_path, GOOD.replace(old, new, 1)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "1: no object"),
        ("- a", "1: no object"),
        ("\x00", "1: not YAML"),
        (b"openapi: 3.1.0\ninfo: \xff", "2: not UTF-8; save the file as UTF-8"),
        ("openapi: 3.1.0\ninfo:\n  version: 1.0.0\n", "1: paths is no object"),
        ("a: " + "[" * 300 + "]" * 300, "1: nests more than 200 levels deep; write it flatter"),
        ("a: &a\n  b: *a", "[12]: nests more than 200 levels deep"),
    ],
)
def test_what_is_no_document_is_refused(tmp_path: Path, content: str | bytes, message: str) -> None:
    assert re.match(message, said_of(tmp_path, content))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(UnusableDocumentError, match="write the path of an OpenAPI document"):
            read_openapi_file(path)


@pytest.mark.parametrize(
    ("pointer", "kind"),
    [
        (("components", "schemas"), "names"),
        (("components", "schemas", "example"), "object"),
        (("components", "schemas", "A", "properties", "default"), "object"),
        (("components", "schemas", "A", "default"), "data"),
        (("components", "schemas", "A", "examples", 0, "enum"), "data"),
        (("components", "examples", "a"), "object"),
        (("components", "examples", "a", "value", "type"), "data"),
        (("components", "links", "a", "parameters", "b"), "data"),
        (("components", "schemas", "A", "discriminator", "mapping"), "data"),
        (("components", "schemas", "A", "properties", "mapping"), "object"),
        (("components", "securitySchemes", "a", "flows", "implicit", "scopes"), "data"),
        (("servers", 0, "variables"), "names"),
        (("paths", "/a", "get", "parameters", 0, "schema"), "object"),
        (("paths", "/a", "get", "x-retry"), "data"),
    ],
)
def test_data_and_names_are_told_from_descriptions(
    pointer: tuple[str | int, ...], kind: str
) -> None:
    assert kind_of(pointer) == kind


@pytest.mark.parametrize("openapi", ["3.0.0", "3.0.4", "3.1.1", "3.2.0", "3.1.0-rc1"])
@pytest.mark.parametrize("version", ["1.2.0", "2", "2024-05-01", "1.0"])
def test_any_document_of_3_0_to_3_2_is_read(tmp_path: Path, openapi: str, version: str) -> None:
    path = tmp_path / "api.yaml"
    path.write_text(GOOD.replace("3.1.0", openapi).replace("1.0.0", version))
    file = read_openapi_file(path)
    assert file.version_text == version
    assert file.version == ((1, 2, 0) if version == "1.2.0" else None)


def test_free_names_may_be_those_of_methods(tmp_path: Path) -> None:
    free = {"get": "a", "servers": "b", "parameters": "c"}
    schema = {
        "discriminator": {"propertyName": "kind", "mapping": free},
        "dependentRequired": {"get": ["a"]},
        "properties": {"get": {"type": "string"}},
    }
    flows = {"implicit": {"authorizationUrl": "/a", "scopes": free}}
    document = {
        "openapi": "3.1.0",
        "info": {"title": "T", "version": "1.0.0"},
        "servers": [{"url": "/{get}", "variables": {"get": {"default": "a"}}}],
        "paths": {},
        "components": {
            "schemas": {"Thing": schema},
            "securitySchemes": {"get": {"type": "oauth2", "flows": flows}},
        },
    }
    file = tmp_path / "openapi.json"
    file.write_text(json.dumps(document))
    assert read_openapi_file(file).content == document


def test_a_document_may_describe_webhooks_alone(tmp_path: Path) -> None:
    path = tmp_path / "api.json"
    path.write_text(json.dumps({"openapi": "3.1.0", "info": {}, "webhooks": {}}))
    assert read_openapi_file(path).content["webhooks"] == {}


def test_keys_of_yaml_may_be_merged(tmp_path: Path) -> None:
    path = tmp_path / "api.yaml"
    merged = (
        "    Other:\n      <<: &same {type: object, title: A}\n      title: B\n    Third: *same\n"
    )
    path.write_text(GOOD + merged)
    schemas = read_openapi_file(path).content["components"]["schemas"]
    assert schemas["Other"] == {"type": "object", "title": "B"}
    assert schemas["Third"] == {"type": "object", "title": "A"}


def test_few_aliases_cannot_write_more_than_memory_holds(tmp_path: Path) -> None:
    names = "abcdefghi"
    lines = [f"a: &a [{', '.join(['x'] * 10)}]"]
    for before, name in itertools.pairwise(names):
        lines.append(f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]")
    assert "values; write it with $ref" in said_of(tmp_path, "\n".join(lines))


def test_files_are_read_wherever_references_lead(tmp_path: Path) -> None:
    (tmp_path / "schemas").mkdir()
    path = tmp_path / "api.yaml"
    path.write_text(
        GOOD.replace("'#/components/schemas/Thing'", "'schemas/all.yaml#/Thing'").replace(
            "  /v1/things:", "  /v1/others:\n    $ref: schemas/path.json\n  /v1/things:"
        )
    )
    # Each refers to the other, to itself, and to the document.
    (tmp_path / "schemas/all.yaml").write_text(
        "Thing:\n  properties:\n    next: {$ref: '#/Thing'}\n    same: {$ref: 'all.yaml#/Thing'}\n"
        "    whole: {$ref: one%20more.yaml}\n"
        "    here: {$ref: '../api.yaml#/components/schemas/Thing'}\n"
    )
    more = "type: array\nitems: {$ref: 'all.yaml#/Thing'}\n"
    (tmp_path / "schemas/one more.yaml").write_text(more)
    (tmp_path / "schemas/path.json").write_text('{"get": {"operationId": "read", "responses": {}}}')
    file = read_openapi_file(path)
    assert compare_documents(file, read_openapi_file(path)) == ()
    assert file.name_of("#/x-files/schemas~1one more.yaml") == "one more"
    (tmp_path / "schemas/all.yaml").write_text("Thing: {properties: {next: {type: string}}}\n")
    kinds = {change.kind for change in compare_documents(file, read_openapi_file(path))}
    assert "field-removed" in kinds
    assert "operation-removed" not in kinds
    (tmp_path / "schemas/path.json").write_text('{"get": {"$ref": "#/get/none"}}')
    with pytest.raises(UnusableDocumentError, match="leads nowhere"):
        read_openapi_file(path)


@pytest.mark.parametrize("reference", ["/dev/zero", "../", "file:///etc/passwd", "//a/b.yaml"])
def test_only_files_are_read(tmp_path: Path, reference: str) -> None:
    (line,) = said_of(
        tmp_path, GOOD.replace("'#/components/schemas/Thing'", f"'{reference}'")
    ).splitlines()
    assert line.startswith("15: $ref to ")


def test_a_reference_may_name_an_anchor(tmp_path: Path) -> None:
    path = tmp_path / "api.yaml"
    path.write_text(
        GOOD.replace("'#/components/schemas/Thing'", "'#thing'").replace(
            "      type: object", "      $anchor: thing\n      type: object"
        )
    )
    assert read_openapi_file(path).find("#thing")[1]["type"] == "object"


def test_lines_of_json_are_those_of_its_text(tmp_path: Path) -> None:
    path = tmp_path / "api.json"
    path.write_text(json.dumps({"openapi": "3.1.0", "info": {}, "paths": {"/a": {}}}, indent=1))
    assert read_openapi_file(path).at(("paths", "/a")) == f"{path}:5"
    path.write_text('{"openapi": "3.1.0",\n"info": {},\n"info": {},\n"paths": {}}')
    with pytest.raises(UnusableDocumentError, match=":3: 'info' is there already"):
        read_openapi_file(path)
    path.write_text('{"openapi":\t"3.1.0",\n\t"info": {},\n\t"paths": {}}')
    assert read_openapi_file(path).content["paths"] == {}
