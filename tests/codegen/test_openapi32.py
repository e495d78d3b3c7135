"""OpenAPI 3.2 document, derived from openapi.yaml."""

from __future__ import annotations

import copy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from openapi_spec_validator import OpenAPIV32SpecValidator

from codegen import CodegenError, openapi32
from synth_pools.spec import load_spec, spec_path

STREAMS = (
    "/v1/pools/{pool_id}/rollouts/{rollout_id}/events",
    "/v1/rollouts/{rollout_id}/events",
    "/v1/pools/{pool_id}/events",
)
EXAMPLES = ("event_stream", "pool_event_stream")


@cache
def derived() -> Any:
    return yaml.safe_load(openapi32.derive(spec_path()))


@pytest.mark.system
def test_it_is_valid() -> None:
    OpenAPIV32SpecValidator(derived()).validate()


def test_a_stream_is_described_by_its_messages() -> None:
    for path in STREAMS:
        media = derived()["paths"][path]["get"]["responses"]["200"]["content"]["text/event-stream"]
        assert "schema" not in media
        item = media["itemSchema"]
        assert item["required"] == ["id", "event", "data"]
        event = "PoolEvent" if path == STREAMS[-1] else "RolloutEvent"
        assert item["properties"]["data"] == {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": {"$ref": f"#/components/schemas/{event}"},
        }
    for name in EXAMPLES:
        example = derived()["components"]["examples"][name]
        assert example["serializedValue"].startswith("id: ")
        assert "value" not in example


def test_all_else_is_as_it_was() -> None:
    document, original = copy.deepcopy(derived()), copy.deepcopy(load_spec())
    original["openapi"] = "3.2.0"
    for path in STREAMS:
        for version in (document, original):
            content = version["paths"][path]["get"]["responses"]["200"]["content"]
            del content["text/event-stream"]
    for version in (document, original):
        for name in EXAMPLES:
            del version["components"]["examples"][name]
    assert document == original


def test_a_stream_without_a_schema_is_refused(tmp_path: Path) -> None:
    spec = tmp_path / "openapi.yaml"
    text = spec_path().read_text(encoding="utf-8")
    media = "              schema:\n                $ref: '#/components/schemas/RolloutEvent'\n"
    assert media in text
    spec.write_text(text.replace(media, ""), encoding="utf-8")
    with pytest.raises(CodegenError, match="without the schema of its events"):
        openapi32.derive(spec)
