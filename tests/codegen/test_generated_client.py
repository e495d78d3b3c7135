"""Promises of the generated package beyond those of its generator."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from typing import Any

import httpx
import pytest

from synth_pools_api import AuthenticatedClient, models
from tests.support.document import SCHEMAS


def is_open_object(schema: dict[str, Any]) -> bool:
    return schema.get("type") == "object" and bool(schema.get("additionalProperties", True))


def model(name: str) -> Any:
    return getattr(models, name)


OPEN = sorted(name for name, schema in SCHEMAS.items() if is_open_object(schema))
ENUMS = sorted(name for name, schema in SCHEMAS.items() if "enum" in schema)
# (schema, property, whether the property may be null) of every property that holds an enumeration
ENUM_PROPERTIES = sorted(
    (name, key)
    for name in OPEN
    for key, value in SCHEMAS[name].get("properties", {}).items()
    for choice in [value, *value.get("anyOf", [])]
    if choice.get("$ref", "").rpartition("/")[2] in ENUMS
)


def without_times(value: Any) -> Any:
    """The models parse times and write them in another spelling; that is no loss."""
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
    assert {"Pool", "Task", "Rollout", "RolloutEvent", "Error"} <= set(OPEN)
    assert ("Pool", "status") in ENUM_PROPERTIES
    assert ("Rollout", "status") in ENUM_PROPERTIES


def test_unknown_fields_survive() -> None:
    for name in OPEN:
        for example in SCHEMAS[name]["examples"]:
            sent = {**example, "x_unknown": {"deep": [1, None, 2.5]}, "x_null": None}
            back = model(name).from_dict(sent).to_dict()
            assert without_times(back) == without_times(sent), name
            json.dumps(back)


@pytest.mark.parametrize(("name", "key"), ENUM_PROPERTIES)
def test_unknown_enum_values_survive(name: str, key: str) -> None:
    example = SCHEMAS[name]["examples"][0]
    sent = {**example, key: "never_heard_of"}
    parsed = model(name).from_dict(sent)
    assert getattr(parsed, key) == "never_heard_of"
    assert parsed.to_dict()[key] == "never_heard_of"


def test_every_schema_is_a_model() -> None:
    missing = sorted(set(SCHEMAS) - set(models.__all__))
    assert not missing, f"schemas without a model: {missing}"


def test_the_models_are_loaded_by_name_and_only_then() -> None:
    assert sorted(models.__all__) == sorted(set(models.__all__))
    for name in models.__all__:
        assert name in dir(models)
        assert getattr(models, name) is getattr(models, name)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        model("Nothing")


def modules_after(code: str) -> set[str]:
    """Return the modules that `code` imports in an interpreter of its own."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return set(done.stdout.split())


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
    example = SCHEMAS["QueueStatus"]["examples"][0]
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
