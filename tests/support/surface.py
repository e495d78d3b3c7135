"""Public calls of the published pools client, and newer ones of ours, with arguments."""

from __future__ import annotations

import inspect
from functools import reduce
from random import Random
from typing import Any, NamedTuple

from synth_pools import CANONICAL_ROLLOUT_REQUEST_KEYS, ContainerPoolsClient


class Call(NamedTuple):
    """`name` is dotted below the client; an event stream is read to its end."""

    name: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}  # noqa: RUF012 - nothing writes to it

    @property
    def is_stream(self) -> bool:
        return self.name.endswith("events")

    def on(self, client: Any) -> Any:
        """Make this call on a client."""
        method = reduce(getattr, self.name.split("."), client)
        return method(*self.args, **self.kwargs)

    def __str__(self) -> str:
        arguments = [repr(value) for value in self.args]
        arguments += [f"{name}={value!r}" for name, value in self.kwargs.items()]
        return f"{self.name}({', '.join(arguments)})"


POOL: dict[str, Any] = {
    "name": "docs-example-pool",
    "target": "arbitrary",
    "tasks": [],
    "metadata": {"a": None, "ä": [1.0, 1e-7, 2**70, True], "nested": {"": ""}},
}
ROLLOUT: dict[str, Any] = {
    "seed": 7,
    "mode": "sync",
    "env": {"config": {"x": 0.1}},
    "messages": [{"role": "user"}],
}
ANYTHING = {"not_canonical": 1, "seed": None}
BATCH = {"pool_id": "pool_1", "rollouts": [ROLLOUT, {}], "requests": [ANYTHING], "later": None}
PAGE = {"state": "active", "limit": 7, "cursor": "next page/+&=ü"}

P, T, R = "pool_1", "task-1", "rollout.1"


def _pool_calls(prefix: str) -> list[Call]:
    """The same operations under their full names (prefix "_pool") and their short ones."""
    full = bool(prefix)
    return [
        Call(f"create{prefix}", (POOL,)),
        Call("list_pools" if full else "list"),
        Call("list_pools" if full else "list", (), PAGE),
        Call("list_pools" if full else "list", (), {"limit": None}),
        Call(f"get{prefix}", (P,)),
        Call(f"get{prefix}", (), {"pool_id": P}),
        Call(f"replace{prefix}", (P, POOL)),
        Call(f"update{prefix}", (P, {"metadata": {"a": None}})),
        Call(f"delete{prefix}", (P,)),
        Call("get_pool_urls" if full else "get_urls", (P,)),
    ]


def _rollout_calls(names: dict[str, str], ids: tuple[str, ...]) -> list[Call]:
    return [
        Call(names["create"], (*ids, ROLLOUT)),
        Call(names["create"], (*ids, {})),
        Call(names["get"], (*ids, R)),
        Call(names["list"], ids),
        Call(names["list"], ids, PAGE),
        Call(names["cancel"], (*ids, R)),
        Call(names["artifacts"], (*ids, R)),
        Call(names["usage"], (*ids, R)),
        Call(names["summary"], (*ids, R)),
        Call(names["events"], (*ids, R)),
        Call(names["events"], (*ids, R), {"cursor": "evt_0000000002"}),
    ]


_SHORT = ("create", "get", "list", "cancel", "artifacts", "usage", "summary", "events")
_FULL = (
    "create_{0}rollout",
    "get_{0}rollout",
    "list_{0}rollouts",
    "cancel_{0}rollout",
    "get_{0}rollout_artifacts",
    "get_{0}rollout_usage",
    "get_{0}rollout_summary",
    "stream_{0}rollout_events",
)


def _full(infix: str) -> dict[str, str]:
    return {short: full.format(infix) for short, full in zip(_SHORT, _FULL, strict=True)}


CALLS: list[Call] = [
    *_pool_calls("_pool"),
    *_pool_calls(""),
    Call("raw.get_pool", (P,)),
    Call("get_pool_metrics", (P,)),
    Call("metrics.get", (P,)),
    Call("list_tasks", (P,)),
    Call("create_task", (P, {"task_id": T, "task_config": {}})),
    Call("update_task", (P, T, {"task_config": {"a": 1}})),
    Call("patch_task", (P, T, {"task_config": None})),
    Call("delete_task", (P, T)),
    Call("tasks.list", (P,)),
    Call("tasks.create", (P, {"task_id": T})),
    Call("tasks.update", (P, T, {})),
    Call("tasks.patch", (P, T, {"task_metadata": {}})),
    Call("tasks.delete", (P, T)),
    *_rollout_calls(_full(""), (P,)),
    *_rollout_calls({short: f"rollouts.{short}" for short in _SHORT}, (P,)),
    *_rollout_calls(_full("global_"), ()),
    *_rollout_calls({short: f"agent_rollouts.{short}" for short in _SHORT}, ()),
    Call("get_pool_container_health", (P,)),
    Call("get_pool_container_info", (P,)),
    Call("get_pool_container_metadata", (P,)),
    Call("get_task_container_health", (P, T)),
    Call("get_task_container_info", (P, T)),
    Call("get_task_container_metadata", (P, T)),
    Call("execute_pool_container_rollout", (P, ANYTHING)),
    Call("execute_task_container_rollout", (P, T, ANYTHING)),
    Call("get_queue_status"),
    Call("get_capabilities"),
]


# The published client refuses newer keys.
_KEYS = sorted(CANONICAL_ROLLOUT_REQUEST_KEYS - {"labels", "run"})
_LETTERS = "abcXYZ0189-_.~ äß→\U0001f680'\"\\\n\t\u2028<&+=:@"
# The reserved characters of a URL mean another path to the published client.
_ID_LETTERS = "abcXYZ0189-_.~ äß→\U0001f680()+,:;=@!$&*'"


def _text(random: Random, letters: str = _LETTERS) -> str:
    return "".join(random.choices(letters, k=random.randint(0, 12)))


def _json(random: Random, depth: int = 3) -> Any:
    kind = random.randrange(8 if depth else 6)
    if kind == 6:
        return [_json(random, depth - 1) for _ in range(random.randint(0, 3))]
    if kind == 7:
        return _object(random, depth - 1)
    number = random.choice([0, -1, 2**70, 1.0, -0.0, 1e-7, 1e300, random.random()])
    return [None, True, False, number, number, _text(random)][kind]


def _object(random: Random, depth: int = 3) -> dict[str, Any]:
    return {_text(random): _json(random, depth) for _ in range(random.randint(0, 4))}


def drawn_calls(random: Random) -> list[Call]:
    """Draw arguments for each call of the published client, under each of its names."""
    client = ContainerPoolsClient(api_key="k")
    calls = []
    for name in dict.fromkeys(call.name for call in CALLS):
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        for parameter in inspect.signature(reduce(getattr, name.split("."), client)).parameters:
            if parameter.endswith("_id"):
                args.append("id" + _text(random, _ID_LETTERS) + "x")
            elif parameter == "request":
                request = _object(random)
                # Other keys of a new rollout are refused, by either client.
                if name.startswith("create_") or "rollouts.create" in name:
                    request = {random.choice(_KEYS): value for value in request.values()}
                args.append(request)
            elif parameter in ("state", "cursor", "limit") and random.random() < 0.6:
                value = random.randint(-1, 2000) if parameter == "limit" else _text(random)
                kwargs[parameter] = value
        calls.append(Call(name, tuple(args), kwargs))
    return calls


class Sent(NamedTuple):
    """Request of a call that no earlier client has."""

    method: str
    target: str
    json: Any = None


# Operations that are younger than the published client, under their full and their short names.
_LATER: list[tuple[tuple[str, ...], tuple[Any, ...], Sent]] = [
    (
        ("validate_rollout", "agent_rollouts.validate"),
        (ANYTHING,),
        Sent("POST", "/v1/rollouts:validate", ANYTHING),
    ),
    (
        ("create_rollout_batch", "agent_rollouts.create_batch"),
        (BATCH,),
        Sent("POST", "/v1/rollouts/batch", BATCH),
    ),
    (("list_runs", "runs.list"), (), Sent("GET", "/v1/runs?limit=100")),
    (("run_query",), ("SELECT 1",), Sent("POST", "/v1/query", {"sql": "SELECT 1"})),
    (("get_run", "runs.get"), ("a/b",), Sent("GET", "/v1/runs/a%2Fb")),
    (("delete_run", "runs.delete"), ("a/b",), Sent("DELETE", "/v1/runs/a%2Fb")),
    (("replay_rollout", "agent_rollouts.replay"), (R,), Sent("POST", f"/v1/rollouts/{R}/replay")),
    (("pause_pool", "pause"), (P,), Sent("POST", f"/v1/pools/{P}/pause")),
    (("resume_pool", "resume"), (P,), Sent("POST", f"/v1/pools/{P}/resume")),
    *(
        ((f"get_pool_container_{item}",), (P,), Sent("GET", f"/v1/pools/{P}/container/{item}"))
        for item in ("task_info", "program", "taskset")
    ),
    *(
        (
            (f"get_task_container_{item}",),
            (P, T),
            Sent("GET", f"/v1/pools/{P}/tasks/{T}/container/{item}"),
        )
        for item in ("task_info", "program", "taskset")
    ),
    (
        ("get_rollout_event_page", "rollouts.event_page"),
        (P, R),
        Sent("GET", f"/v1/pools/{P}/rollouts/{R}/events?after_sequence=0&format=json&limit=200"),
    ),
    (
        ("get_global_rollout_event_page", "agent_rollouts.event_page"),
        (R,),
        Sent("GET", f"/v1/rollouts/{R}/events?after_sequence=0&format=json&limit=200"),
    ),
    (
        ("get_pool_event_page", "event_page"),
        (P,),
        Sent("GET", f"/v1/pools/{P}/events?format=json&limit=200"),
    ),
    (
        ("get_global_rollout_trajectory", "agent_rollouts.trajectory"),
        (R,),
        Sent("GET", f"/v1/rollouts/{R}/trajectory"),
    ),
    (("get_pool_logs", "logs"), (P,), Sent("GET", f"/v1/pools/{P}/logs?limit=1000")),
    (("list_image_releases",), (P,), Sent("GET", f"/v1/pools/{P}/runtime_image_releases")),
    (
        ("create_image_release",),
        (P, ANYTHING),
        Sent("POST", f"/v1/pools/{P}/runtime_image_releases", ANYTHING),
    ),
    *(
        ((name,), (P, "r/1"), Sent(method, f"/v1/pools/{P}/runtime_image_releases/r%2F1{end}"))
        for name, method, end in (
            ("get_image_release", "GET", ""),
            ("delete_image_release", "DELETE", ""),
            ("bind_image_release", "POST", "/bind"),
            ("unbind_image_release", "POST", "/unbind"),
        )
    ),
    *(
        (
            (f"{verb}_task_image_release",),
            (P, T, "r1"),
            Sent("POST", f"/v1/pools/{P}/tasks/{T}/runtime_image_releases/r1/{verb}"),
        )
        for verb in ("bind", "unbind")
    ),
]

_PROJECT = {"project_id": "p1"}
_KEYED = {**_PROJECT, "idempotency_key": "k/1"}
_DEPLOYMENT = f"/v1/pools/{P}/deployments/{T}"
_DEPLOYMENTS = [
    (Call("get_deployment", (P, T), _PROJECT), Sent("GET", f"{_DEPLOYMENT}?project_id=p1")),
    (
        Call("mutate_deployment", (P, T, ANYTHING)),
        Sent("POST", f"{_DEPLOYMENT}/operations", ANYTHING),
    ),
    (
        Call("find_deployment_operation", (P, T), _KEYED),
        Sent("GET", f"{_DEPLOYMENT}/operations?project_id=p1&idempotency_key=k%2F1"),
    ),
    (
        Call("get_deployment_operation", (P, "o/1"), _PROJECT),
        Sent("GET", f"/v1/pools/{P}/deployment-operations/o%2F1?project_id=p1"),
    ),
]

LATER: list[tuple[Call, Sent]] = [
    *((Call(name, args), sent) for names, args, sent in _LATER for name in names),
    *_DEPLOYMENTS,
]

# Calls that return bytes.
_CONTENTS: list[tuple[tuple[str, ...], tuple[Any, ...], str]] = [
    (
        ("get_global_rollout_artifact", "agent_rollouts.artifact"),
        (R, "logs/a b%.txt"),
        f"/v1/rollouts/{R}/artifacts/logs%2Fa%20b%25.txt",
    ),
    (
        ("get_global_rollout_artifacts_zip", "agent_rollouts.artifacts_zip"),
        (R,),
        f"/v1/rollouts/{R}/artifacts.zip",
    ),
    (
        ("get_global_rollout_support_bundle", "agent_rollouts.support_bundle"),
        (R,),
        f"/v1/rollouts/{R}/support_bundle",
    ),
]

CONTENTS: list[tuple[Call, Sent]] = [
    (Call(name, args), Sent("GET", target)) for names, args, target in _CONTENTS for name in names
]

# Calls that write bytes to a file, whose path follows these arguments.
FILES: list[tuple[Call, Sent]] = [
    (Call(name, args), Sent("GET", target))
    for name, (_, args, target) in zip(
        (
            "agent_rollouts.download_artifact",
            "agent_rollouts.download_artifacts_zip",
            "agent_rollouts.download_support_bundle",
        ),
        _CONTENTS,
        strict=True,
    )
]

EVERY: list[Call] = [*CALLS, *(call for call, _ in (*LATER, *CONTENTS))]
