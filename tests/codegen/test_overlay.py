"""Extensions of the overlay, and the published document without them."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from codegen import CodegenError
from codegen.overlay import join_overlay
from synth_pools.spec import load_container_spec, load_spec
from synth_pools.spec.changes.parsing import iter_parts, kind_of

REPO = Path(__file__).parents[2]
OVERLAY: dict[str, dict[str, Any]] = yaml.safe_load((REPO / "api/overlay.yaml").read_text())
# For every reader: retries, scopes, open enumerations, types of events, optional operations.
PUBLISHED = {"x-retry", "x-open-enum", "x-event-type", "x-feature", "x-scope"}


def extensions(document: dict[str, Any]) -> set[str]:
    described = [node for pointer, node in iter_parts(document) if kind_of(pointer) == "object"]
    nodes = [*described, *document.get("tags", ())]
    return {key for node in nodes if isinstance(node, dict) for key in node if key.startswith("x-")}


def test_the_published_documents_have_no_extension_of_this_project() -> None:
    assert extensions(load_spec()) == PUBLISHED
    assert extensions(load_container_spec()) == set()


def test_every_extension_is_joined_where_the_overlay_says() -> None:
    document = copy.deepcopy(load_spec())
    joined = join_overlay(document, REPO)
    assert document == load_spec()
    assert extensions(joined) == PUBLISHED | OVERLAY.keys()
    (tag,) = (tag for tag in joined["tags"] if tag["name"] == "image_releases")
    assert tag["x-cli-name"] == "images"
    assert joined["paths"]["/v1/rollouts"]["post"]["x-cli-aliases"] == ["submit"]
    schemas = joined["components"]["schemas"]
    assert schemas["PoolConfig"]["x-free-form"] is True
    assert schemas["Pool"]["properties"]["id"]["x-older-servers"] == ["pool_id"]


def test_a_document_without_an_overlay_stays_as_it_is(tmp_path: Path) -> None:
    assert join_overlay(load_spec(), tmp_path) is load_spec()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x-a:\n  Pool.idd: 1\n", r":2: no tag, operation, schema or property is Pool.idd"),
        ("x-retry:\n  create_pool: always\n", r":2: create_pool has x-retry already; keep one"),
        ("Pool:\n  x-a: 1\n", r":1: Pool: write 'x-name:' and below it 'place: value'"),
        ("x-a: [Pool]\n", r":1: x-a: write 'x-name:' and below it 'place: value'"),
        ("x-a:\n  Pool: 1\n  Pool: 2\n", r":3: 'Pool' is there already, at .*:2; keep one"),
        ("x-a: {\n", r":2: not YAML: "),
    ],
)
def test_a_mistake_is_a_line_of_the_overlay(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "api").mkdir()
    path = tmp_path / "api/overlay.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CodegenError, match=re.escape(str(path)) + message):
        join_overlay(load_spec(), tmp_path)
