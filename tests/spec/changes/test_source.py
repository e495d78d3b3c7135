"""Documents that cannot be compared: an error of one line with file, line and correction."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from synth_pools.spec import spec_path
from synth_pools.spec.changes.source import UnusableDocumentError, kind_of, read_openapi_file

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
        ("openapi: 3.1.0", "openapi: 3.0.3", "1: openapi is '3.0.3'; write openapi: 3.1.0"),
        ("openapi: 3.1.0", "swagger: '2.0'", "1: openapi is None; write openapi: 3.1.0"),
        ("1.0.0", "1.0", "4: info.version is 1.0; write a version as 1.2.0"),
        ("1.0.0", "1", "4: info.version is 1; write a version as 1.2.0"),
        ("schemas/Thing'", "schemas/Thin'", "15: .*write #/components/schemas/Thing"),
        ("schemas/Thing'", "schemas/Zebra'", "15: .*#/components/schemas has no 'Zebra': add it"),
        ("'#/components", "'other.yaml#/components", "15: .*write a reference inside this file"),
        ("      type: object", "      type: 3", "19: type is 3; write the name of a type"),
        ("          type: string\n        $ref", "          3\n        $ref", "21: enum in prop"),
        ("title: T", "title: T\n  title: U", "4: 'title' is there already, at .*:3; keep one"),
        ("title: T", "title: {T", r"\d: not YAML: .*; write YAML or JSON"),
        ("title: T", "title: *T", "3: not YAML: found undefined alias; write YAML or JSON"),
        ("title: T", "[a]: T", "3: a key that is no text; write a text"),
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
        (("paths", "/a", "get", "parameters", 0, "schema"), "object"),
        (("paths", "/a", "get", "x-retry"), "data"),
    ],
)
def test_data_and_names_are_told_from_descriptions(
    pointer: tuple[str | int, ...], kind: str
) -> None:
    assert kind_of(pointer) == kind
