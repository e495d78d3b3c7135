"""Promises of the generated package that its generator does not make."""

from __future__ import annotations

import copy
import importlib
import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from synth_pools_api import AuthenticatedClient, models
from synth_pools_api.types import UNSET
from tests.support.document import EXAMPLES, SCHEMAS


def is_open_object(schema: dict[str, Any]) -> bool:
    is_union = "$ref" in schema.get("anyOf", [{}])[0]
    is_open = bool(schema.get("additionalProperties", True))
    return schema.get("type") == "object" and is_open and not is_union


def model(name: str) -> Any:
    return getattr(models, name)


OPEN = sorted(name for name, schema in SCHEMAS.items() if is_open_object(schema))
ENUMS = sorted(name for name, schema in SCHEMAS.items() if "enum" in schema)
UNIONS = sorted(
    name
    for name, schema in SCHEMAS.items()
    if "type" not in schema or "$ref" in schema.get("anyOf", [{}])[0]
)
CLOSED = sorted(name for name in ENUMS if not SCHEMAS[name].get("x-open-enum"))


def named(node: dict[str, Any]) -> str:
    """Return the name of the schema that a node refers to, or an empty string."""
    return str(node.get("$ref", "")).rpartition("/")[2]


def enumerated(closed: bool) -> list[tuple[str, str]]:
    """List schema and property of each enumeration, closed or open."""
    return sorted(
        (name, key)
        for name, schema in SCHEMAS.items()
        for key, node in schema.get("properties", {}).items()
        for value in [SCHEMAS[named(node)] if named(node) in UNIONS else node]
        for choice in [value, *value.get("anyOf", [])]
        if named(choice) in ENUMS
        and closed
        == (
            named(choice) in CLOSED
            and not any(part.get("type") == "string" for part in value.get("anyOf", ()))
        )
    )


def without_times(value: Any) -> Any:
    """Remove times, which the models write in another spelling."""
    if isinstance(value, dict):
        return {
            key: without_times(item)
            for key, item in value.items()
            if not key.endswith("_at") and key != "timestamp"
        }
    if isinstance(value, list):
        return [without_times(item) for item in value]
    return value


def test_there_is_something_to_try() -> None:
    assert {"Pool", "Task", "Rollout", "RolloutEvent", "ErrorBody"} <= set(OPEN)
    assert {("Pool", "status"), ("Pool", "target"), ("Rollout", "mode")} <= {*enumerated(False)}
    assert {name for name, _ in enumerated(True)} == {
        "PoolConfig",
        "PoolDefinition",
        "PoolImage",
        "PoolPatch",
        "PoolProcess",
        "RolloutRequest",
    }


def test_unknown_fields_survive() -> None:
    for name in OPEN:
        for example in EXAMPLES[name]:
            body = {**example, "x_unknown": {"deep": [1, None, 2.5]}, "x_null": None}
            back = model(name).from_dict(body).to_dict()
            assert without_times(back) == without_times(body), name
            json.dumps(back)


@pytest.mark.parametrize(("name", "key"), enumerated(False))
def test_unknown_enum_values_of_answers_survive(name: str, key: str) -> None:
    example = EXAMPLES[name][0]
    body = {**example, key: "never_heard_of"}
    parsed = model(name).from_dict(body)
    assert getattr(parsed, key) == "never_heard_of"
    assert parsed.to_dict()[key] == "never_heard_of"


@pytest.mark.parametrize(("name", "key"), enumerated(True))
def test_unknown_enum_values_of_requests_are_refused(name: str, key: str) -> None:
    example = EXAMPLES[name][0]
    with pytest.raises(ValueError, match="'sinc' is not one of "):
        model(name).from_dict({**example, key: "sinc"})
    for value in (None, *SCHEMAS[name]["properties"][key].get("default", "").split()):
        assert model(name).from_dict({**example, key: value}).to_dict()[key] == value


def test_a_misspelt_key_of_a_closed_object_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no key 'sead' \(did you mean 'seed'\?\), 'x'$"):
        models.RolloutRequest.from_dict({"sead": 1, "x": 2, "task_id": "t"})


def test_free_form_objects_are_plain_dictionaries() -> None:
    pool = models.Pool.from_dict(EXAMPLES["Pool"][0])
    assert type(pool.metadata) is dict
    assert type(models.RolloutRequest.from_dict({"params": {"a": 1}}).params) is dict
    batch = models.RolloutBatchRequest.from_dict({"rollouts": [{"seed": 1}]})
    assert batch.rollouts == [{"seed": 1}]
    assert batch.to_dict() == {"rollouts": [{"seed": 1}]}


def test_a_model_sends_no_default() -> None:
    assert models.PoolDefinition(name="p").to_dict() == {"name": "p"}
    assert models.PoolPatch().to_dict() == {}
    assert models.RolloutRequest().to_dict() == {}


@pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))]
)
def test_unset_stays_itself(again: Callable[[Any], Any]) -> None:
    assert again(UNSET) is UNSET
    request = again(models.RolloutRequest(seed=7))
    assert request.task_id is UNSET
    assert request.to_dict() == {"seed": 7}


def older(name: str, **changed: Any) -> Any:
    """Read an example as an answer of an older server; `...` marks a missing property."""
    merged = {**EXAMPLES[name][0], **changed}
    return model(name).from_dict({key: v for key, v in merged.items() if v is not ...})


@pytest.mark.parametrize(
    ("name", "key"), [("PoolList", "pools"), ("RolloutList", "rollouts"), ("TaskList", "tasks")]
)
def test_lists_of_older_servers_are_read(name: str, key: str) -> None:
    items = EXAMPLES[name][0]["items"]
    page = older(name, items=..., next_cursor=..., cursor="c", **{key: items})
    assert len(page.items) == len(items) > 0
    assert page.next_cursor == "c"
    assert key not in page.additional_properties
    assert older(name, items=..., next_cursor=..., **{key: []}).next_cursor is None
    with pytest.raises(KeyError, match="items"):
        older(name, items=...)


def test_whatever_the_document_says_of_older_servers_is_read() -> None:
    spellings = 0
    for name, schema in SCHEMAS.items():
        for key, node in schema.get("properties", {}).items():
            names = node.get("x-older-servers", ())
            if names == "absent":
                read = older(name, **{key: ...}).to_dict().get(key, UNSET)
                assert read in (UNSET, {}, []), (name, key)
                spellings += 1
                continue
            for spelling in names:
                value = EXAMPLES[name][0][key]
                read = older(name, **{key: ..., spelling: value}).to_dict()[key]
                assert without_times(read) == without_times(value), (name, key)
                spellings += 1
    assert spellings > 40


def test_a_null_that_is_left_out_is_read() -> None:
    for name, schema in SCHEMAS.items():
        for key in schema.get("required", ()):
            node = schema["properties"][key]
            if "null" in node.get("type", ()) and "x-older-servers" not in node:
                assert getattr(older(name, **{key: ...}), key) is None, (name, key)


def test_events_of_older_servers_are_read() -> None:
    event = models.RolloutEvent.from_dict({"event": "rollout.started", "rollout_id": "r"})
    assert (event.id, event.sequence, event.timestamp, event.data) == (UNSET, UNSET, UNSET, {})


@pytest.mark.parametrize(
    "name", sorted(name for name, schema in SCHEMAS.items() if "x-event-type" in schema)
)
def test_what_an_event_tells_is_of_its_type(name: str) -> None:
    data = EXAMPLES[name][0]
    event = older("RolloutEvent", event=SCHEMAS[name]["x-event-type"], data=data)
    assert type(event.data) is model(name)
    assert event.to_dict()["data"] == data


@pytest.mark.parametrize("data", [{}, {"step": 3}, {"status": "thinking"}])
def test_what_an_agent_tells_is_a_dictionary(data: dict[str, Any]) -> None:
    assert older("RolloutEvent", event="agent", data=data).data == data
    with pytest.raises(TypeError, match="'data' must be an object"):
        older("RolloutEvent", event="agent", data=[data])


def test_every_schema_is_a_model() -> None:
    missing = sorted(set(SCHEMAS) - set(UNIONS) - set(models.__all__))
    assert not missing, f"schemas without a model: {missing}"


def test_the_models_are_loaded_by_name_and_only_then() -> None:
    assert sorted(models.__all__) == sorted(set(models.__all__))
    for name in models.__all__:
        assert name in dir(models)
        assert getattr(models, name) is getattr(models, name)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        model("Nothing")


def modules_after(code: str) -> set[str]:
    """Return the modules that `code` imports in a new interpreter."""
    completed = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return set(completed.stdout.split())


def test_an_endpoint_loads_neither_models_nor_other_endpoints() -> None:
    loaded = modules_after(
        "from synth_pools_api.api import pools, rollouts\n"
        "pools.get_pool._get_kwargs('p')\n"
        "class Body:\n"
        "    def to_dict(self): return {'seed': 1}\n"
        "assert rollouts.create_rollout._get_kwargs('p', body=Body())['json'] == {'seed': 1}\n"
    )
    assert not {name for name in loaded if name.startswith("synth_pools_api.models")}
    assert "attr" not in loaded, "it takes as long as all the rest together"
    endpoints = {name for name in loaded if name.startswith("synth_pools_api.api.")}
    assert endpoints == {
        "synth_pools_api.api.pools",
        "synth_pools_api.api.pools.get_pool",
        "synth_pools_api.api.rollouts",
        "synth_pools_api.api.rollouts.create_rollout",
    }


def test_a_model_loads_only_what_it_is_made_of() -> None:
    loaded = modules_after("from synth_pools_api.models import QueueStatus")
    assert {name for name in loaded if name.startswith("synth_pools_api.models.")} == {
        "synth_pools_api.models.queue_status"
    }


def test_an_answer_loads_its_model_when_it_is_parsed() -> None:
    endpoint = importlib.import_module("synth_pools_api.api.service.get_queue_status")
    example = EXAMPLES["QueueStatus"][0]
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=example))
    client = AuthenticatedClient("http://127.0.0.1", token="t", httpx_args={"transport": transport})
    with client:
        parsed = endpoint.sync(client=client)
    assert parsed == models.QueueStatus.from_dict(example)


def test_the_generated_client_hides_its_key_and_does_not_wait_for_ever() -> None:
    client = AuthenticatedClient("http://127.0.0.1", token="secret-key")
    http = client.get_httpx_client()
    assert http.headers["Authorization"] == "Bearer secret-key"
    assert "secret-key" not in repr(client)
    assert http.timeout.read == 30.0
    assert not hasattr(client, "__dict__")
