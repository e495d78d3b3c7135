"""The check of bodies, next to a validator of JSON Schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_pools.cli.failures import CommandError
from synth_pools.cli.operations import bodies
from synth_pools.cli.operations.schemas import problems, schema_at, schema_named, types_of
from synth_pools.cli.operations.table import COMMANDS, SCHEMAS
from tests.support.document import OPERATIONS, SPEC

BODIES = sorted({row.body for row in COMMANDS if row.body})
VALIDATORS = {
    name: jsonschema_rs.Draft202012Validator(
        {"$ref": f"#/components/schemas/{name}", "components": SPEC["components"]},
        validate_formats=False,
    )
    for name in BODIES
}
_LEAVES = (
    st.none()
    | st.booleans()
    | st.sampled_from([-1, 0, 1, 60, 10**4, 10**5, 2**63, 0.0, 1.0, 1.5, -0.5])
    | st.sampled_from(
        ["", "a", "sync", "async", "arbitrary", "http://127.0.0.1:9", "a b", "x\n", "0"]
    )
    | st.text(max_size=3)
)


def keys_of(name: str) -> st.SearchStrategy[str]:
    """Keys of a schema and of the schemas that it refers to, and some unknown ones."""
    names = {"other", "", "PATH", "a b"}
    waiting = [name]
    observed = set[str]()
    while waiting:
        item = waiting.pop()
        if item in observed:
            continue
        observed.add(item)
        schema = schema_named(item)
        names |= set(schema.get("properties", {}))
        waiting += [schema for schema in SCHEMAS if f'"$ref":"{schema}"' in SCHEMAS[item]]
    return st.sampled_from(sorted(names))


def values_of(name: str) -> st.SearchStrategy[Any]:
    keys = keys_of(name)
    inner = st.recursive(
        _LEAVES,
        lambda deeper: st.lists(deeper, max_size=2) | st.dictionaries(keys, deeper, max_size=3),
        max_leaves=8,
    )
    return st.dictionaries(keys, inner, max_size=4) | inner


@pytest.mark.parametrize("name", BODIES)
@settings(max_examples=40)
@given(data=st.data())
def test_it_says_what_a_validator_says(name: str, data: st.DataObject) -> None:
    value = data.draw(values_of(name))
    result = list(problems(value, schema_named(name)))
    assert (not result) == VALIDATORS[name].is_valid(value), (value, result)


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_the_examples_of_the_document_pass(name: str) -> None:
    media = OPERATIONS[name].node.get("requestBody", {}).get("content", {})
    [row] = [row for row in COMMANDS if name in dict(row.operations)]
    for example in media.get("application/json", {}).get("examples", {}).values():
        by_name = example["$ref"].rpartition("/")[2]
        value = SPEC["components"]["examples"][by_name]["value"]
        assert list(problems(value, schema_named(row.body))) == []


@pytest.mark.parametrize(
    ("name", "body", "line"),
    [
        ("RolloutRequest", {"sed": 7}, "sed: no such key; did you mean seed?"),
        ("RolloutRequest", {"seed": "x"}, 'seed: must be an integer, not "x"'),
        ("RolloutRequest", {"seed": 1.5}, "seed: must be an integer, not 1.5"),
        ("RolloutRequest", {"seed": True}, "seed: must be an integer, not true"),
        ("RolloutRequest", {"mode": "later"}, 'mode: must be one of "sync", "async", not "later"'),
        ("RolloutRequest", {"limits": {"timeout_seconds": 0}}, "limits.timeout_seconds: must be"),
        ("RolloutRequest", {"messages": [{}, 7]}, "messages[1]: must be an object, not 7"),
        ("RolloutRequest", [], "the body: must be an object, not []"),
        ("PoolDefinition", {"name": ""}, "name: must have at least 1 characters, not 0"),
        ("PoolDefinition", {"capacity": 10**6}, "capacity: must be at most 10000, not 1000000"),
        ("PoolDefinition", {"id": "a\n"}, "id: must match"),
        ("PoolDefinition", {"config": {"process": {}}}, "config.process: argv is missing"),
    ],
)
def test_a_problem_is_told_with_its_place(name: str, body: Any, line: str) -> None:
    result = list(problems(body, schema_named(name)))
    assert any(item.startswith(line) for item in result), result


def test_the_types_of_a_choice_are_those_of_each() -> None:
    texts = {"anyOf": [{"type": "string"}, {"type": ["integer", "null"]}]}
    assert types_of(texts) == ("string", "integer", "null")
    assert types_of({"anyOf": [{"type": "string"}, {}]}) is None
    assert set(types_of({"enum": ["a", None]}) or ()) == {"string", "null"}


def test_the_schema_of_a_place_is_found_through_references_and_choices() -> None:
    pool = {"$ref": "PoolDefinition"}
    assert schema_at(pool, []) == schema_named("PoolDefinition")
    assert types_of(schema_at(pool, ["name"])) == ("string", "null")
    choice = {"anyOf": [{"type": "null"}, {"properties": {"a": {"type": "integer"}}}]}
    assert schema_at(choice, ["a"]) == {"type": "integer"}
    assert schema_at({"additionalProperties": {"type": "string"}}, ["any"]) == {"type": "string"}
    assert schema_at(pool, ["name", "deeper"]) == {}
    assert schema_at(None, ["a"]) == {}


def test_a_body_that_is_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "_LARGEST", 3 * 1024 * 1024)
    path = tmp_path / "large.json"
    path.write_text(json.dumps({"name": "x" * 3 * 1024 * 1024}))
    with pytest.raises(CommandError, match="larger than 3 MiB"):
        bodies.read_object(path)
    path.write_text(json.dumps({"name": "x"}))
    assert bodies.read_object(path) == {"name": "x"}
