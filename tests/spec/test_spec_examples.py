"""Examples of openapi.yaml, validated by their schemas."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema_rs

from tests.support.backend_server import read_events
from tests.support.document import EXAMPLES, OPERATIONS, SPEC, Described, contents, resolve


def errors(schema: dict[str, Any], value: Any) -> list[str]:
    document = {**schema, "components": SPEC["components"]}
    validator = jsonschema_rs.Draft202012Validator(document, validate_formats=True)
    return [
        f"{list(error.instance_path)}: {error.message}" for error in validator.iter_errors(value)
    ]


def media_types(operation: Described) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, kind, media in contents(operation):
        # Bytes have no useful example; the example of a stream is text.
        if media["schema"].get("format") != "binary" and kind != "text/event-stream":
            yield name, media


def parameters() -> Iterator[tuple[str, dict[str, Any]]]:
    for kind in ("parameters", "headers"):
        for name, node in SPEC["components"][kind].items():
            yield f"{kind}.{name}", node


def test_named_schemas_have_valid_examples() -> None:
    for name, schema in SPEC["components"]["schemas"].items():
        assert EXAMPLES[name], f"{name} has no example"
        assert schema.get("description"), f"{name} has no description"
        for example in EXAMPLES[name]:
            assert not errors({"$ref": f"#/components/schemas/{name}"}, example), name


def test_bodies_have_valid_examples() -> None:
    for operation_id in OPERATIONS:
        check_bodies(operation_id)


def check_bodies(operation_id: str) -> None:
    checked_count = 0
    for name, media in media_types(OPERATIONS[operation_id]):
        examples = [resolve(example) for example in media.get("examples", {}).values()]
        assert examples, f"{name} has no example"
        for example in examples:
            assert example["summary"], name
            assert not errors(media["schema"], example["value"]), name
        checked_count += 1
    assert checked_count, "nothing was looked at"


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


def test_no_example_is_written_twice() -> None:
    """A body has its example beside it, and its schema has none."""
    components = SPEC["components"]
    examples = [(name, example["value"]) for name, example in components["examples"].items()]
    for name, schema in components["schemas"].items():
        examples += [(name, example) for example in schema.get("examples", ())]
    places: dict[str, str] = {}
    for name, example in examples:
        text = json.dumps(example, sort_keys=True)
        if len(text) > 80:
            assert text not in places, f"{name} has the example of {places[text]}"
            places[text] = name


def test_the_example_of_a_stream_is_what_comes_over_the_wire() -> None:
    for operation_id in ("stream_rollout_events", "stream_global_rollout_events"):
        media = OPERATIONS[operation_id].node["responses"]["200"]["content"]["text/event-stream"]
        for example in media["examples"].values():
            text = resolve(example)["value"]
            assert ": heartbeat\n\n" in text
            events = read_events(text)
            assert [event["event"] for event in events] == ["reward", "rollout.completed"]
            for event in events:
                assert not errors(media["schema"], event)
