"""Table of commands: names by rule, extensions, and operations that share a command."""

from __future__ import annotations

import copy
import runpy
from pathlib import Path
from typing import Any

import pytest

from codegen import CodegenError
from codegen.command_table import write_command_table
from synth_pools.cli.operations.model import CommandRow
from synth_pools.cli.operations.table import COMMANDS
from tests.support.document import OPERATIONS, SPEC

REPO = Path(__file__).parents[2]


def written(folder: Path, document: dict[str, Any]) -> dict[str, Any]:
    target = folder / "table.py"
    write_command_table(document, target)
    return runpy.run_path(str(target))


def row_of(folder: Path, path: str, operation: dict[str, Any], method: str = "get") -> CommandRow:
    complete = {"tags": ["things"], "responses": {"200": {"description": "Fine."}}, **operation}
    [row] = written(folder, {"paths": {path: {method: complete}}})["COMMANDS"]
    assert isinstance(row, CommandRow)
    return row


def test_a_group_is_described_by_its_tag(tmp_path: Path) -> None:
    answer = {"responses": {"200": {"description": "Fine."}}}
    paths = {
        f"/{tag}": {"get": {"operationId": f"list_{tag}", "tags": [tag], **answer}}
        for tag in ("things", "parts")
    }
    tags = [
        {"name": "things", "description": "Things.\n\n## More"},
        {"name": "parts", "description": "Parts.", "x-cli-description": "Parts of things."},
    ]
    groups = written(tmp_path, {"tags": tags, "paths": paths})["GROUPS"]
    assert groups == {"things": "Things.", "parts": "Parts of things."}


def test_every_operation_has_one_command() -> None:
    operations = [operation for row in COMMANDS for operation, _ in row.operations]
    assert sorted(operations) == sorted(OPERATIONS)
    verbs = [(row.group, name) for row in COMMANDS for name in (row.name, *row.aliases)]
    assert len(set(verbs)) == len(verbs)


@pytest.mark.parametrize(
    ("operation", "path", "command"),
    [
        ("list_things", "/things", "list"),
        ("get_thing", "/things/{thing_id}", "get"),
        ("get_thing_parts", "/things/{thing_id}/parts", "parts"),
        ("get_global_thing", "/all/{thing_id}", "get"),
        ("stream_thing_events", "/things/{thing_id}/events", "events"),
        ("freeze_thing", "/things/{thing_id}/freeze", "freeze"),
        ("create_thing_batch", "/things/batch", "create-batch"),
        ("freezeEverything", "/freeze", "freezeeverything"),
    ],
)
def test_a_name_follows_from_the_operation(
    tmp_path: Path, operation: str, path: str, command: str
) -> None:
    row = row_of(tmp_path, path, {"operationId": operation})
    assert (row.group, row.name) == ("things", command)


def test_the_document_may_say_otherwise(tmp_path: Path) -> None:
    extensions = {
        "x-cli-name": "look",
        "x-cli-aliases": ["see"],
        "x-cli-hidden": True,
        "x-cli-kind": "list",
        "x-cli-columns": ["id", "a.b"],
    }
    row = row_of(tmp_path, "/things/{thing_id}", {"operationId": "get_thing", **extensions})
    assert (row.name, row.aliases, row.hidden) == ("look", ("see",), True)
    assert (row.kind, row.columns) == ("list", ("id", "a.b"))
    document = {"paths": {"/x": {"get": {"operationId": "get_x", "x-cli-ignore": True}}}}
    assert written(tmp_path, document)["COMMANDS"] == ()
    with pytest.raises(CodegenError, match="x-cli-kind is 'look'"):
        row_of(tmp_path, "/x", {"operationId": "get_x", "x-cli-kind": "look"})


def test_operations_of_one_verb_are_one_command() -> None:
    [row] = [
        candidate
        for candidate in COMMANDS
        if (candidate.group, candidate.name) == ("rollouts", "get")
    ]
    assert row.operations == (
        ("get_global_rollout", ("rollout_id",)),
        ("get_rollout", ("pool_id", "rollout_id")),
    )
    assert row.arguments == ("rollout_id",)
    assert [option.flag for option in row.options] == ["--pool"]


def test_a_command_has_the_texts_of_the_operations_that_its_first_one_refers_to(
    tmp_path: Path,
) -> None:
    def described(text: str) -> str:
        texts = {"get_global_thing": text, "get_thing": "Returns it."}
        paths = {
            path: {"get": {"operationId": name, "tags": ["things"], "description": texts[name]}}
            for path, name in (
                ("/all/{thing_id}", "get_global_thing"),
                ("/boxes/{box_id}/things/{thing_id}", "get_thing"),
            )
        }
        [row] = written(tmp_path, {"paths": paths})["COMMANDS"]
        return str(row.description)

    assert described("As `get_thing`, in any box.") == "Returns it."
    assert described("Does as `get_thing` in any box.").split("\n\n") == [
        "Returns it.",
        "Does as `get_thing` in any box.",
    ]
    assert described("Returns any thing.") == "Returns any thing."
    assert not [row.operations for row in COMMANDS if row.description.startswith("As `get_")]


def test_two_operations_that_are_not_one_command_need_names(tmp_path: Path) -> None:
    paths = {
        "/things/{thing_id}": {"get": {"operationId": "get_thing", "tags": ["things"]}},
        "/other/{thing_id}": {"get": {"operationId": "get_global_thing", "tags": ["things"]}},
    }
    with pytest.raises(CodegenError, match="give one an x-cli-name"):
        written(tmp_path, {"paths": paths})


def test_a_keyword_that_nothing_checks_is_left_to_the_service(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    schema = {"type": "object", "minProperties": 1, "properties": {"a": {"type": "string"}}}
    body = {"content": {"application/json": {"schema": schema}}}
    operation = {"operationId": "make_x", "tags": ["x"], "requestBody": body}
    written_schemas = written(tmp_path, {"paths": {"/x": {"post": operation}}})["SCHEMAS"]
    assert written_schemas == {"make_x": '{"properties":{"a":{"type":"string"}},"type":"object"}'}
    assert capsys.readouterr().err == (
        "generate: warning: schema make_x: the command line does not check `minProperties` in a "
        "body; the service does\n"
    )


def test_the_document_is_left_as_it_was(tmp_path: Path) -> None:
    before = copy.deepcopy(SPEC)
    written(tmp_path, SPEC)
    assert before == SPEC
