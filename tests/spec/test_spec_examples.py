"""Every example of openapi.yaml is a value of the schema that it stands for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema_rs

from tests.support.document import OPERATIONS, SPEC


def resolve(node: dict[str, Any]) -> dict[str, Any]:
    """Follow `$ref` within the document."""
    while "$ref" in node:
        target: Any = SPEC
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


def errors(schema: dict[str, Any], value: Any) -> list[str]:
    document = {**schema, "components": SPEC["components"]}
    validator = jsonschema_rs.Draft202012Validator(document, validate_formats=True)
    return [
        f"{list(error.instance_path)}: {error.message}" for error in validator.iter_errors(value)
    ]


def media_types(operation: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    bodies = {"request": operation.get("requestBody", {}), **operation["responses"]}
    for name, body in bodies.items():
        for media in resolve(body).get("content", {}).values():
            # Bytes have no example that a document could show.
            if media["schema"].get("format") != "binary":
                yield name, media


def parameters() -> Iterator[tuple[str, dict[str, Any]]]:
    for kind in ("parameters", "headers"):
        for name, node in SPEC["components"][kind].items():
            yield f"{kind}.{name}", node


def test_named_schemas_have_valid_examples() -> None:
    for name, schema in SPEC["components"]["schemas"].items():
        assert schema.get("examples"), f"{name} has no example"
        assert schema.get("description"), f"{name} has no description"
        for example in schema["examples"]:
            assert not errors({"$ref": f"#/components/schemas/{name}"}, example), name


def test_bodies_have_valid_examples() -> None:
    for operation_id in OPERATIONS:
        check_bodies(operation_id)


def check_bodies(operation_id: str) -> None:
    seen = 0
    for name, media in media_types(OPERATIONS[operation_id].node):
        examples = [resolve(example) for example in media.get("examples", {}).values()]
        assert examples, f"{name} has no example"
        for example in examples:
            assert example["summary"], name
            assert not errors(media["schema"], example["value"]), name
        seen += 1
    assert seen, "nothing was looked at"


def test_parameters_have_valid_examples() -> None:
    for name, node in parameters():
        assert node["description"], f"{name} has no description"
        assert not errors(node["schema"], node["example"]), name


def test_every_component_is_used() -> None:
    text = json.dumps(SPEC)
    unused = [
        f"{kind}/{name}"
        for kind in ("schemas", "responses", "parameters", "headers", "examples")
        for name in SPEC["components"][kind]
        if f'"#/components/{kind}/{name}"' not in text
    ]
    assert not unused


def test_the_line_of_an_event_message_is_an_event() -> None:
    message = SPEC["components"]["schemas"]["RolloutEventMessage"]
    content = message["properties"]["data"]["contentSchema"]
    for example in message["examples"]:
        assert "\n" not in example["data"]
        envelope = json.loads(example["data"])
        assert not errors(content, envelope)
        assert {key: envelope[key] for key in ("id", "event")} == {
            key: example[key] for key in ("id", "event")
        }


def test_a_wrong_example_would_be_seen() -> None:
    example = dict(SPEC["components"]["schemas"]["Pool"]["examples"][0], capacity="one")
    assert errors({"$ref": "#/components/schemas/Pool"}, example)
    misspelt = {"sead": 1}
    assert errors({"$ref": "#/components/schemas/RolloutRequest"}, misspelt)
