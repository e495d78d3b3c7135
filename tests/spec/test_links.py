"""Links: what was created leads to the operations that read, stream, cancel and delete it."""

from __future__ import annotations

from typing import Any

import pytest

from synth_pools.contract.document import Document
from synth_pools.spec import load_spec

SPEC = load_spec()
DOCUMENT = Document(SPEC)
_LINKS = [
    (operation.id, status, name)
    for operation in DOCUMENT.operations.values()
    for status, response in SPEC["paths"][operation.path][operation.method.lower()][
        "responses"
    ].items()
    for name in response.get("links", {})
]


@pytest.mark.parametrize(("source", "status", "name"), _LINKS)
def test_a_link_gives_every_id_from_what_its_source_has(
    source: str, status: str, name: str
) -> None:
    link: Any = SPEC["components"]["links"][name]
    target, origin = DOCUMENT.operations[link["operationId"]], DOCUMENT.operations[source]
    assert set(link["parameters"]) == set(target.id_names)
    schema = origin.responses[status].content["application/json"]
    required = DOCUMENT.resolve(schema)["required"]
    for expression in link["parameters"].values():
        place, _, field = expression.rpartition("/" if "#" in expression else ".")
        assert field in (required if place == "$response.body#" else origin.id_names)


@pytest.mark.parametrize(
    ("source", "readers"),
    [
        ("create_pool", {"get_pool", "create_rollout", "delete_pool"}),
        ("create_task", {"list_tasks", "delete_task"}),
        ("create_rollout", {"get_rollout", "stream_rollout_events", "cancel_rollout"}),
        *(
            (
                source,
                {"get_global_rollout", "stream_global_rollout_events", "cancel_global_rollout"},
            )
            for source in ("create_global_rollout", "replay_rollout")
        ),
    ],
)
def test_what_is_created_has_links(source: str, readers: set[str]) -> None:
    assert {name for operation, _, name in _LINKS if operation == source} == readers
