"""Errors of a refused body: the field, its value, and the allowed values."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.backend_server import Server

BATCH = "/v1/rollouts/batch"


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        ("/v1/pools", {"config": 7}, 'body.config: 7 is not of type "object" or "null"'),
        (
            "/v1/pools",
            {"config": {"submission_mode": "x"}},
            'body.config.submission_mode: "x" is not one of "sync" or "async"',
        ),
        (
            "/v1/pools",
            {"config": {"process": {}}},
            'body.config.process: "argv" is a required property',
        ),
        (
            "/v1/pools",
            {"config": {"process": {"argv": []}}},
            "body.config.process.argv: [] has less than 1 item",
        ),
        (
            "/v1/pools",
            {"config": {"process": {"argv": ["x", 5]}}},
            'body.config.process.argv.1: 5 is not of type "string"',
        ),
        (
            "/v1/pools",
            {"pool_config": {"process": {"argv": ["x"], "start_timeout_seconds": 3601}}},
            "body.pool_config.process.start_timeout_seconds: 3601 is greater than the maximum of",
        ),
        (
            "/v1/pools",
            {"container_urls": ["http://localhost:1", "ftp://x"]},
            'body.container_urls.1: "ftp://x" does not match',
        ),
        (
            "/v1/pools",
            {"config": {"process": {"argv": ["x"], "env": {"A": "1", "B=C": "2"}}}},
            'body.config.process.env: "B=C" does not match "^[^=\\x00]+$"',
        ),
        (
            "/v1/pools",
            {"config": {"process": {"argv": ["x"], "env": {"": "1"}}}},
            'body.config.process.env: "" does not match "^[^=\\x00]+$"',
        ),
        (
            "/v1/pools",
            {"config": {"process": {"argv": ["x"], "env": {"A": "\0"}}}},
            'body.config.process.env.A: "\\u0000" does not match "^[^\\x00]*$"',
        ),
        (BATCH, {"rollouts": [5]}, 'body.rollouts.0: 5 is not of type "object"'),
        (BATCH, {"requests": 5}, "body.requests: 5 is not of type"),
        ("/v1/rollouts", {"mode": "x"}, 'body.mode: "x" is not one of "sync" or "async"'),
        ("/v1/rollouts", {"mode": 5}, 'body.mode: 5 is not of type "string" or "null"'),
    ],
)
def test_it_names_the_field_and_what_is_allowed(
    server: Server, path: str, body: dict[str, Any], says: str
) -> None:
    refused = server.refused("POST", path, 422, "validation_failed", json={"name": "n", **body})
    assert refused["error"]["message"].startswith(says)


def test_a_long_text_does_not_push_out_what_is_allowed(server: Server) -> None:
    body = {"name": "n", "container_urls": ["ftp://" + 1000 * "x"]}
    refused = server.refused("POST", "/v1/pools", 422, "validation_failed", json=body)
    [fault] = refused["detail"]
    assert fault["msg"].startswith('"ftp://xxx')
    assert "does not match" in fault["msg"]
    assert len(fault["msg"]) < 400


@pytest.mark.parametrize("depth", [10, 254, 255, 256, 400])
def test_what_is_nested_deeply_is_refused_as_what_is_not(server: Server, depth: int) -> None:
    deep: Any = 1
    for _ in range(depth):
        deep = [deep]
    body = server.refused("POST", "/v1/rollouts", 422, "validation_failed", json={"task_id": deep})
    [fault] = body["detail"]
    assert fault["loc"] == ["body", "task_id"]
    assert "[[[" in fault["msg"]
