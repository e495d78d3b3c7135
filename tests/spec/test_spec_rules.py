"""Rules of openapi.yaml: completeness, bounds and readable YAML."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from synth_pools.spec import spec_path
from tests.support.document import EXAMPLES, OPERATIONS, SCHEMAS, SPEC

TEXT = spec_path().read_text(encoding="utf-8")
NAMESPACES = {
    "pools",
    "pool_events",
    "metrics",
    "tasks",
    "rollouts",
    "agent_rollouts",
    "runs",
    "image_releases",
    "deployments",
    "containers",
    "service",
}
# Lists, and their second names for later clients.
LISTS = {
    "PoolList": "pools",
    "RolloutList": "rollouts",
    "TaskList": "tasks",
    "ArtifactList": "artifacts",
    "ImageReleaseList": "releases",
}
CANONICAL_KEYS = {
    "context_overrides",
    "env",
    "inference_url",
    "instance_id",
    "limits",
    "messages",
    "metadata",
    "mode",
    "ops",
    "params",
    "policy",
    "policy_config",
    "priority",
    "pool_id",
    "record",
    "safety",
    "seed",
    "task_id",
    "trace_correlation_id",
    "override_bundle_id",
    "task_contract",
    "run",
    "labels",
}


def parameters_of(operation_id: str) -> dict[str, dict[str, Any]]:
    _, path, operation = OPERATIONS[operation_id]
    refs = SPEC["paths"][path].get("parameters", []) + operation.get("parameters", [])
    nodes = [SPEC["components"]["parameters"][ref["$ref"].rsplit("/", 1)[1]] for ref in refs]
    return {node["name"]: node for node in nodes}


def test_no_two_operations_have_one_name() -> None:
    keys = [key for item in SPEC["paths"].values() for key in item if key != "parameters"]
    assert len(OPERATIONS) == len(keys) > 0


def test_operations_are_complete() -> None:
    for operation_id in OPERATIONS:
        check_operation(operation_id)


def check_operation(operation_id: str) -> None:
    _, path, operation = OPERATIONS[operation_id]
    assert operation["summary"]
    assert operation["description"]
    assert len(operation["tags"]) == 1
    assert operation["tags"][0] in NAMESPACES
    responses = operation["responses"]
    assert "default" not in responses, "a default response makes every status a documented one"
    expected = {"401", "403", "429", "500", "503"}
    # A range is no status to programs that generators of types make.
    assert all(status.isdecimal() for status in responses)
    assert ("501" in responses) == ("x-feature" in operation)
    if "{" in path:
        expected |= {"404", "422"}
    if "requestBody" in operation:
        expected |= {"400", "413", "415", "422"}
        # It reports errors of a creation, and refuses no request itself.
        assert ("409" in responses) == (operation_id != "validate_rollout")
    assert expected <= set(responses)
    assert any(status.startswith("2") for status in responses)
    for status, response in responses.items():
        if status[0] in "45":
            resolved = SPEC["components"]["responses"][response["$ref"].rsplit("/", 1)[1]]
            schema = resolved["content"]["application/json"]["schema"]
            assert schema == {"$ref": "#/components/schemas/ErrorBody"}
            assert ("Retry-After" in resolved["headers"]) == (status in ("409", "429", "503"))
        else:
            resolved = response
            assert ("Location" in resolved["headers"]) == (status == "201")
        assert "x-request-id" in resolved["headers"]
    assert set(re.findall(r"{(\w+)}", path)) == {
        name for name, node in parameters_of(operation_id).items() if node["in"] == "path"
    }


def test_every_post_and_patch_says_whether_it_may_be_repeated() -> None:
    retries = {name: operation.get("x-retry") for name, (_, _, operation) in OPERATIONS.items()}
    methods = {name: method for name, (method, _, _) in OPERATIONS.items()}
    for name, value in retries.items():
        if methods[name] in ("post", "patch"):
            assert value in ("always", "with-key", "with-id", "never"), name
            assert re.search(rf"\| `{value}` \|.*`{name}`", TEXT), f"{name} is missing in the table"
            assert (value == "with-key") == ("Idempotency-Key" in parameters_of(name))
        else:
            assert value is None, name


def test_the_features_of_operations_are_properties_of_one_schema() -> None:
    features = SPEC["components"]["schemas"]["Features"]["properties"]
    features_used = {node["x-feature"] for _, _, node in OPERATIONS.values() if "x-feature" in node}
    assert features_used <= features.keys()
    assert {schema["type"] for schema in features.values()} == {"boolean"}


def test_rollout_creations_take_an_idempotency_key() -> None:
    with_key = {name for name in OPERATIONS if "Idempotency-Key" in parameters_of(name)}
    assert with_key == {
        "create_rollout",
        "create_global_rollout",
        "create_rollout_batch",
        "replay_rollout",
    }


def test_lists_are_paged_and_bounded() -> None:
    for name in ("list_pools", "list_rollouts", "list_global_rollouts"):
        node_by_name = parameters_of(name)
        assert {"state", "limit", "cursor"} <= set(node_by_name)
        assert node_by_name["limit"]["schema"] == {
            "type": "integer",
            "format": "int32",
            "minimum": 1,
            "maximum": 1000,
            "default": 100,
        }
        assert node_by_name["cursor"]["schema"] == {"type": "string", "maxLength": 512}
    for name, later in LISTS.items():
        assert {"items", "next_cursor"} <= set(SCHEMAS[name]["required"])
        again = SCHEMAS[name]["properties"][later]
        assert again["deprecated"] is True
        assert again["items"] == SCHEMAS[name]["properties"]["items"]["items"]


def test_streams_can_be_resumed_three_ways() -> None:
    for name in ("stream_rollout_events", "stream_global_rollout_events"):
        assert {"cursor", "after_sequence", "Last-Event-ID"} <= set(parameters_of(name))
        content = OPERATIONS[name][2]["responses"]["200"]["content"]
        assert list(content) == ["text/event-stream", "application/json"]
        assert content["text/event-stream"]["schema"] == {
            "$ref": "#/components/schemas/RolloutEvent"
        }


def test_every_string_parameter_has_a_limit() -> None:
    for name, node in SPEC["components"]["parameters"].items():
        schema = node["schema"]
        if schema["type"] == "string":
            assert {"maxLength", "enum"} & set(schema), name
        else:
            assert {"minimum", "maximum"} <= set(schema), name


def properties(kind: str | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the properties of all schemas, or of a type, nullable or not."""
    for name, schema in SCHEMAS.items():
        for key, node in schema.get("properties", {}).items():
            types = node.get("type", ())
            if kind is None or kind in ([types] if isinstance(types, str) else types):
                yield f"{name}.{key}", node


def test_every_header_that_is_listed_always_comes() -> None:
    for name, node in SPEC["components"]["headers"].items():
        # A conflict carries the one only if it is about a warming pool, an answer with events the
        # other only if it is a stream of a server that may stand behind nginx.
        sometimes = name in ("RetryAfterWarming", "XAccelBuffering")
        assert node["required"] is not sometimes, name


def test_a_default_stands_in_its_keyword() -> None:
    defaults = {name: node["default"] for name, node in properties() if "default" in node}
    assert defaults == {
        "PoolConfig.timeout_seconds": 600,
        "PoolConfig.submission_mode": "sync",
        "PoolProcess.start_timeout_seconds": 30,
        "PoolProcess.launcher": "local",
        "Placement.num_cpus": 1,
        "PoolImage.network": "loopback",
        "PoolImage.start_timeout_seconds": 30,
        "PoolDefinition.capacity": 1,
        "PoolDefinition.concurrency": 8,
        "RolloutLimits.max_attempts": 1,
        "RolloutRequest.mode": "async",
        "RolloutRequest.priority": 0,
        "RolloutEnv.delay": 0,
        "RolloutEnv.fail": False,
        "RolloutEnv.reward": 1.0,
        "RolloutEnv.events": 1,
        "QueryRequest.limit": 10_000,
    }
    prose = [name for name, node in properties() if "default" in node.get("description", "")]
    assert not prose, "a default belongs into its keyword"


def test_an_older_spelling_is_deprecated() -> None:
    for name, node in properties():
        older = re.search(r"[Aa]nother spelling|\bolder", node.get("description", ""))
        assert not older or node.get("deprecated") or name.endswith("next_cursor"), name


def test_every_integer_says_how_wide_it_is() -> None:
    for name, node in properties("integer"):
        fits = node.get("maximum", 2**63) < 2**31
        assert node["format"] == ("int32" if fits else "int64"), name


def test_every_time_is_utc() -> None:
    times = [(name, node) for name, node in properties() if node.get("format") == "date-time"]
    assert len(times) > 10
    for name, node in times:
        assert node["pattern"] == "^.*(Z|[+-]00:00)$", name
        assert "in UTC" in node["description"], name
    time_names = {name for name, _ in properties() if name.endswith(("_at", "timestamp"))}
    assert time_names == {name for name, _ in times}


def test_every_url_is_a_uri() -> None:
    for name, node in properties():
        if name.endswith("_url") and not name.endswith("inference_url"):
            assert node["format"] == "uri", name


def test_enumerations_are_the_documented_ones() -> None:
    assert SCHEMAS["PoolTarget"]["enum"] == [
        "harbor",
        "openenv",
        "horizons",
        "horizons_private",
        "arbitrary",
    ]
    assert SCHEMAS["PoolStatus"]["enum"] == [
        "created",
        "uploading",
        "building",
        "warming",
        "active",
        "paused",
        "failed",
        "archived",
    ]
    assert SCHEMAS["RolloutStatus"]["enum"] == [
        "queued",
        "running",
        "completed",
        "failed",
        "cancelled",
    ]


def test_the_rollout_request_is_closed_and_all_else_is_open() -> None:
    request = SCHEMAS["RolloutRequest"]
    assert set(request["properties"]) == CANONICAL_KEYS
    closed = {name for name, node in SCHEMAS.items() if node.get("additionalProperties") is False}
    assert closed == {"RolloutRequest"}
    for name, node in SCHEMAS.items():
        if node.get("type") == "object" and "additionalProperties" not in node:
            assert all(part.get("additionalProperties") for part in node["anyOf"]), name


@pytest.mark.parametrize(
    ("schema", "key"), [("Pool", "pool_id"), ("Task", "task_id"), ("Rollout", "rollout_id")]
)
def test_ids_are_given_both_ways(schema: str, key: str) -> None:
    assert {"id", key} <= set(SCHEMAS[schema]["required"])
    for example in EXAMPLES[schema]:
        assert example["id"] == example[key]


def test_the_text_is_written_in_block_style() -> None:
    """No flow collections, two spaces a level, paths and operationIds unquoted."""
    for event in yaml.parse(TEXT):
        if isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent) and event.flow_style:
            assert event.start_mark is not None
            at = event.start_mark.line
            source = TEXT.splitlines()[at].rstrip()
            assert source.endswith(("{}", "[]")), f"line {at + 1}: {source}"
    for line in TEXT.splitlines():
        assert "\t" not in line
        if re.match(r"\s*(operationId:|['\"]?/v1/)", line):
            assert not re.search(r"['\"]", line), line
