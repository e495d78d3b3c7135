"""Each property that the document gives to an answer is sent by the backend, or is listed here.

A property that is new in openapi.yaml and that nothing sends turns this red, and so does one in the
list that is sent after all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx

from synth_pools.spec import spec_path
from synth_pools.spec.changes.source import OpenApiFile, read_openapi_file
from synth_pools.spec.changes.views import SchemaReader, SchemaView
from tests.support.backend_server import Server, eventually, read_events
from tests.support.containers import http, odd_container, real_container
from tests.support.document import OPERATIONS
from tests.support.process_pools import process, until

# Properties that no answer of the local backend has, with reasons.
NOT_SENT = {
    **dict.fromkeys(
        [f"{name}.next_cursor" for name in ("ArtifactList", "ImageReleaseList", "TaskList")],
        "always null: these lists are not split into pages",
    ),
    **dict.fromkeys(
        [
            f"ImageRelease.{name}"
            for name in (
                *("compute_provider", "created_at", "id", "metadata", "name", "pool_id"),
                *("release_id", "resolved_digest", "source_content_hash", "source_kind", "status"),
            )
        ],
        "image releases are a feature that this backend lacks",
    ),
    **dict.fromkeys(
        [f"ImageReleaseBinding.{name}" for name in ("pool_id", "release_id", "task_id")],
        "image releases are a feature that this backend lacks",
    ),
    **dict.fromkeys(
        ["StoredPoolConfig.image", "PoolContainer.image_digest"],
        "sent where there is a container engine: tests/oci reads them",
    ),
    **dict.fromkeys(
        [
            *("PoolProcess.launcher", "PoolProcess.placement"),
            *(f"Placement.{name}" for name in ("labels", "num_cpus", "num_gpus", "resources")),
        ],
        "sent where there is a Ray cluster: tests/ray reads them",
    ),
}

TRAJECTORY = {
    "schema_version": "ATIF-v1.8",
    "agent": {"name": "a", "version": "1"},
    "steps": [{"step_id": 1, "source": "user", "message": "Go."}],
    "final_metrics": {"total_steps": 1},
}


class Answers:
    """Answers of a server, and their properties."""

    def __init__(self, file: OpenApiFile) -> None:
        self._file = file
        self._reader = SchemaReader(file)
        self.requests: set[str] = set()
        self._routes = [
            (described, re.compile(re.sub(r"{\w+}", "[^/]+", described.path)))
            for described in OPERATIONS.values()
        ]

    def record(self, response: httpx.Response) -> None:
        """Take the properties out of an answer."""
        response.read()
        for described, pattern in self._routes:
            path = response.request.url.path
            if described.method.upper() == response.request.method and pattern.fullmatch(path):
                self._record(described.node["responses"], response)

    def _record(self, responses: dict[str, Any], response: httpx.Response) -> None:
        status = str(response.status_code)
        documented = responses.get(status) or responses[f"{status[0]}XX"]
        if "$ref" in documented:
            documented = self._file.find(documented["$ref"])[1]
        media = response.headers.get("content-type", "").partition(";")[0]
        schema = documented.get("content", {}).get(media, {}).get("schema")
        if media == "application/json":
            self._note(schema, response.json(), "")
        elif media == "text/event-stream":
            for event in read_events(response.text):
                self._note(schema, event, "")

    def _note(self, schema: Any, value: Any, place: str) -> None:
        for name, view in alternatives(self._reader, schema, place):
            if isinstance(value, list):
                for item in value:
                    self._note(view.items, item, name)
            elif isinstance(value, dict):
                for key, node in view.properties.items():
                    # Null stands for a missing value, so such a property has not been seen.
                    if value.get(key) is not None:
                        self.requests.add(f"{name}.{key}")
                        self._note(node, value[key], f"{name}.{key}")


def alternatives(reader: SchemaReader, schema: Any, place: str) -> Iterator[tuple[str, SchemaView]]:
    """The schemas that a value may have, each with the name that its properties go by."""
    if not isinstance(schema, dict):
        return
    waiting = [reader.view(schema)]
    while waiting:
        view = waiting.pop()
        waiting += [variant for group in view.groups for variant in group]
        yield view.name or place, view


def answered(file: OpenApiFile) -> set[str]:
    """Every property of every answer, as `Schema.property`."""
    reader = SchemaReader(file)
    actual: set[str] = set()
    expected: set[str] = set()

    def visit(schema: Any, place: str) -> None:
        for name, view in alternatives(reader, schema, place):
            if view.name in expected:
                continue
            expected.update({view.name} - {""})
            for key, node in view.properties.items():
                actual.add(f"{name}.{key}")
                visit(node, f"{name}.{key}")
            visit(view.items, name)

    for described in OPERATIONS.values():
        for response in described.node["responses"].values():
            if "$ref" in response:
                response = file.find(response["$ref"])[1]
            for media in response.get("content", {}).values():
                visit(media["schema"], "")
    return actual


def play(server: Server) -> None:
    """Ask for everything that the backend answers."""
    server.get("/v1/capabilities")
    server.get("/v1/queue/status")
    server.send("GET", "/v1/pools", params={"limit": 0})
    server.send("GET", "/v1/pools/unknown")
    server.send("GET", "/v1/pools/unknown/runtime_image_releases")
    with real_container() as url:
        play_rollouts(server, url)
    play_failures(server)
    play_processes(server)


def play_rollouts(server: Server, url: str) -> None:
    task = {"task_id": "t", "task_config": {}, "task_metadata": {}, "container_url": url}
    pool = server.pool(
        container_url=url,
        container_urls=[url],
        tasks=[task],
        metadata={"team": "docs"},
        config={"timeout_seconds": 60, "max_starts_per_second": 900, "submission_mode": "sync"},
    )
    path = f"/v1/pools/{pool}"
    for name in ("urls", "metrics", "tasks", "runtime_image_releases"):
        server.send("GET", f"{path}/{name}")
    for name in ("health", "info", "metadata", "task_info", "program", "taskset"):
        server.send("GET", f"{path}/container/{name}")
        server.send("GET", f"{path}/tasks/t/container/{name}")
    server.send("GET", path, params={"a": 1})
    echo = server.pool(tasks=[{"task_id": "t"}])
    fields = {"run": "tuesday", "labels": {"model": "x"}, "trace_correlation_id": "x"}
    done = server.run(echo, task_id="t", seed=7, metadata={"a": 1}, **fields)
    server.post(f"/v1/rollouts/{done['id']}/replay", {})
    server.post("/v1/rollouts/batch", {"rollouts": [{"pool_id": echo}, {"pool_id": "none"}]}, 200)
    server.post("/v1/rollouts:validate", {"pool_id": echo, "seed": "x"})
    server.post("/v1/rollouts:validate", {"pool_id": echo})
    for rollouts in ("/v1/rollouts", f"/v1/pools/{echo}/rollouts"):
        server.get(rollouts, params={"limit": 1})
        for name in ("summary", "usage", "artifacts"):
            server.get(f"{rollouts}/{done['id']}/{name}")
        server.send("GET", f"/v1/rollouts/{done['id']}/artifacts/unknown")
        server.http.get(f"{rollouts}/{done['id']}/events")
        server.get(f"{rollouts}/{done['id']}/events", params={"format": "json", "limit": 1})
    server.rollout(echo, run="wednesday")
    server.get("/v1/runs", params={"limit": 1})
    server.get("/v1/runs/tuesday")
    server.get(f"/v1/pools/{echo}/events", params={"format": "json", "include": "rollout"})
    server.get("/v1/pools", params={"limit": 1})
    waiting = server.rollout(echo, 202, env={"delay": 600})
    server.post(f"/v1/rollouts/{waiting['id']}/cancel", {})
    server.http.get(f"/v1/rollouts/{waiting['id']}/events")
    server.send("POST", f"/v1/rollouts/{done['id']}/cancel", json={})
    server.call("DELETE", path)


def play_failures(server: Server) -> None:
    artifact = {
        "artifact_name": "answer.txt", "kind": "text", "artifact_type": "text",
        "content_type": "text/plain", "content": "4", "metadata": {"a": 1},
    }  # fmt: skip
    calls: list[str] = []

    def answer(request: Any) -> bytes:
        if request.path == "/health":
            return http(200, {"healthy": True})
        calls.append(request.path)
        if len(calls) == 1:
            return http(500, {"detail": "not now"})
        usage = {
            "llm_input_tokens": 1, "llm_output_tokens": 1, "cost_usd": 0.5, "sandbox_minutes": 0.1,
            "cached_input_tokens": 1,
            "bytes_downloaded": 1, "bytes_uploaded": 1, "provider_costs": {"openai": 0.5},
        }  # fmt: skip
        return http(
            200,
            {
                "rollout_id": request.json["rollout_id"],
                "status": "completed",
                "success_status": "success",
                "reward": 1.0,
                "artifact": [artifact],
                "trajectory": TRAJECTORY,
                "usage": usage,
            },
        )

    with odd_container(answer) as container:
        pool = server.pool(container_url=container.url, tasks=[{"id": "t"}])
        server.get(f"/v1/pools/{pool}/container/health")
        again = server.run(pool, task_id="t", limits={"max_attempts": 2}, run="thursday")
        server.get("/v1/runs/thursday")
        for name in ("artifacts", "usage", "summary", "trajectory"):
            server.get(f"/v1/rollouts/{again['id']}/{name}")
        server.http.get(f"/v1/rollouts/{again['id']}/events")
    # Nobody is there any more.
    away = server.run(pool, limits={"timeout_seconds": 0.2})
    server.http.get(f"/v1/rollouts/{away['id']}/events")
    server.get(f"/v1/rollouts/{away['id']}/summary")
    server.get(f"/v1/pools/{pool}/metrics")
    server.http.post("/v1/query", json={"sql": "SELECT id FROM rollouts"})


def play_processes(server: Server) -> None:
    config = {"process": process(start_timeout_seconds=60, env={"A": "b"}, cwd="/")}
    pool = server.pool(config={**config, "container_key_env": "CONTAINER_API_KEY"})
    server.send("POST", f"/v1/pools/{pool}/rollouts", json={})
    until(server, pool, "active")
    server.get(f"/v1/pools/{pool}/metrics")
    eventually(lambda: server.get(f"/v1/pools/{pool}/logs")["lines"])
    deaf = server.pool(config={"process": process("deaf", start_timeout_seconds=0.2)})
    until(server, deaf, "failed")
    eventually(lambda: server.get(f"/v1/pools/{deaf}/logs")["processes"][0]["ended_at"])


def test_every_property_of_an_answer_is_sent(
    start: Callable[..., Server], monkeypatch: Any, tmp_path: Path
) -> None:
    keys = tmp_path / "keys"
    keys.write_text("ann: sk_key_of_ann\n")
    keys.chmod(0o600)
    monkeypatch.setenv("CONTAINER_API_KEY", "a-key-of-containers")
    file = read_openapi_file(spec_path())
    answers = Answers(file)
    server = start(allow_processes=True, api_keys_file=keys)
    server.http.headers["authorization"] = "Bearer sk_key_of_ann"
    server.http.event_hooks["response"].append(answers.record)
    play(server)
    expected = answered(file)
    assert len(expected) > 100
    if server.services.queries is None:
        # With a PostgreSQL database tests/postgres has a user of their own for them.
        expected = {name for name in expected if not name.startswith("QueryResult.")}
    assert expected - answers.requests - NOT_SENT.keys() == set()
    assert NOT_SENT.keys() - (expected - answers.requests) == set()


def test_a_property_that_nothing_sends_is_seen() -> None:
    file = read_openapi_file(spec_path())
    file.content["components"]["schemas"]["Pool"]["properties"]["colour"] = {"type": "string"}
    assert "Pool.colour" in answered(file)
    answers = Answers(file)
    request = httpx.Request("GET", "http://127.0.0.1/v1/pools/p")
    answers.record(httpx.Response(200, json={"id": "p", "error": None}, request=request))
    assert answers.requests == {"Pool.id"}
