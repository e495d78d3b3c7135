"""Faults of optional operations: validation, batches, replays, pauses, downloads, containers."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

from tests.contract.faults.fault import (
    Altering,
    Fault,
    Passing,
    answers,
    dropped,
    error_response,
    json_response,
    put,
    query_lost,
    request_header_lost,
    sibling,
)
from tests.contract.faults.wire import Request, Response, without


async def _validated_and_created(
    request: Request, response: Response, passing: Passing
) -> Response:
    """Create the rollout when asked to validate it."""
    value = response.json()
    if response.status == 200 and value["valid"]:
        await passing.ask(sibling(request, "POST", "/v1/rollouts", request.json()))
    return response


def _refused_left_out(batch: Any) -> Any:
    return {**batch, "items": [item for item in batch["items"] if item["rollout"]]}


def _refusals_without_reason(batch: Any) -> Any:
    return {**batch, "items": [{**item, "error": None} for item in batch["items"]]}


async def _all_or_nothing(request: Request, passing: Passing) -> Response | None:
    """Refuse the whole batch if one request is refused."""
    body = request.json()
    if not isinstance(body, dict) or not isinstance(body.get("rollouts"), list):
        return None
    for item in body["rollouts"][:20]:
        validation = sibling(request, "POST", "/v1/rollouts:validate", item)
        verdict = (await passing.ask(validation)).json()
        errors = verdict.get("errors") or [{}]
        if errors[0].get("type") == "additionalProperties":
            return error_response(422, "validation_failed")
    return None


async def _in_reverse(request: Request, passing: Passing) -> Response | None:
    """Admit the last request first, and put the response in order again."""
    body = request.json()
    rollouts = body.get("rollouts") if isinstance(body, dict) else None
    if not isinstance(rollouts, list) or body.get("requests"):
        return None
    reordered = Request(
        "POST",
        request.target,
        without(request.headers, "content-length"),
        json.dumps({**body, "rollouts": rollouts[::-1]}).encode(),
    )
    answer = await passing.ask(reordered)
    value = answer.json()
    if answer.status != 200:
        return answer
    last = len(rollouts) - 1
    items = [{**item, "index": last - item["index"]} for item in reversed(value["items"])]
    return answer.with_json({**value, "items": items})


async def _the_original_again(request: Request, passing: Passing) -> Response | None:
    """Answer a replay with the original rollout."""
    path = request.path.removesuffix("/replay")
    original = await passing.ask(sibling(request, "GET", path))
    return original if original.status == 200 else None


async def _without_its_task(request: Request, passing: Passing) -> Response | None:
    """Replay the request without its task."""
    original = await passing.ask(sibling(request, "GET", request.path.removesuffix("/replay")))
    if original.status != 200:
        return None
    value = original.json()
    body = {k: v for k, v in value["request"].items() if k != "task_id"}
    path = f"/v1/pools/{value['pool_id']}/rollouts"
    created = await passing.ask(sibling(request, "POST", path, body))
    return created.with_json({**created.json(), "replay_of": value["id"]})


def _only_said(verb: str, status: str) -> Callable[[Request, Passing], Any]:
    async def before(request: Request, passing: Passing) -> Response | None:
        current = await passing.ask(sibling(request, "GET", request.path.removesuffix(f"/{verb}")))
        value = current.json()
        if current.status != 200 or value["status"] == "archived":
            return None
        return current.with_json({**value, "status": status, "state": status})

    return before


async def _admitted_all_the_same(request: Request, passing: Passing) -> Response | None:
    """Admit rollouts to a paused pool."""
    pool = request.path.removesuffix("/rollouts")
    current = await passing.ask(sibling(request, "GET", pool))
    if current.status != 200 or current.json()["status"] != "paused":
        return None
    await passing.ask(sibling(request, "POST", f"{pool}/resume"))
    admitted = await passing.ask(Request("POST", request.target, request.headers, request.body))
    await passing.ask(sibling(request, "POST", f"{pool}/pause"))
    return admitted


async def _paused_and_cancelled(request: Request, passing: Passing) -> Response | None:
    """Cancel the running rollouts of a paused pool."""
    pool = request.path.removesuffix("/pause")
    listed = await passing.ask(sibling(request, "GET", f"{pool}/rollouts?state=running"))
    for item in listed.json()["items"] if listed.status == 200 else ():
        await passing.ask(sibling(request, "POST", f"/v1/rollouts/{item['id']}/cancel", {}))
    return None


async def _archived_resumes(request: Request, response: Response, passing: Passing) -> Response:
    if response.status != 409:
        return response
    return await passing.ask(sibling(request, "GET", request.path.removesuffix("/resume")))


async def _other_bytes(request: Request, response: Response, passing: Passing) -> Response:
    if response.status == 200 and response.body:
        response.body = response.body[:-1] + bytes([response.body[-1] ^ 1])
    return response


def _etag(change: Callable[[str], str]) -> Altering:
    async def after(request: Request, response: Response, passing: Passing) -> Response:
        response.headers = [
            (name, change(value) if name.lower() == "etag" else value)
            for name, value in response.headers
        ]
        return response

    return after


async def _first_byte_missing(request: Request, response: Response, passing: Passing) -> Response:
    if response.status == 206:
        response.body = response.body[1:]
    return response


async def _empty_archive(request: Request, response: Response, passing: Passing) -> Response:
    return _archive(response, {}) if response.status == 200 else response


async def _flat_archive(request: Request, response: Response, passing: Passing) -> Response:
    """Put artifacts in the archive under other names."""
    if response.status != 200:
        return response
    with zipfile.ZipFile(io.BytesIO(response.body)) as archive:
        files = {f"{n}.bin": archive.read(name) for n, name in enumerate(archive.namelist())}
    return _archive(response, files)


async def _secrets_kept(request: Request, response: Response, passing: Passing) -> Response:
    """Put the whole request, with its secrets, in the support bundle."""
    view = await passing.ask(sibling(request, "GET", request.path.removesuffix("/support_bundle")))
    if response.status != 200 or view.status != 200:
        return response
    return _archive(response, {"rollout.json": view.body})


async def _cut_archive(request: Request, response: Response, passing: Passing) -> Response:
    if response.status == 200:
        response.body = response.body[: len(response.body) // 2]
    return response


def _archive(response: Response, files: dict[str, bytes]) -> Response:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    response.body = target.getvalue()
    return response


async def _first_container_only(request: Request, passing: Passing) -> Response | None:
    body = request.json()
    urls = body.get("container_urls") if isinstance(body, dict) else None
    if isinstance(urls, list) and len(urls) > 1:
        passing.memory["urls"] = urls
        request.body = json.dumps({**body, "container_urls": urls[:1]}).encode()
    return None


async def _all_are_shown(request: Request, response: Response, passing: Passing) -> Response:
    """Show all container addresses, although only the first is used."""
    urls = passing.memory.get("urls")
    return await answers(put("container_urls", lambda old: urls if old else old))(
        request, response, passing
    )


async def _missing_is_empty(request: Request, response: Response, passing: Passing) -> Response:
    """Answer with an empty object where the container has none."""
    if response.status == 404 and response.json()["error"]["code"] == "not_found":
        return json_response(200, {})
    return response


def _on(name: str, kind: str, operation: str, **how: Any) -> Fault:
    return Fault(name, kind, (operation,), (operation,), **how)


VALIDATION = [
    _on("validate_creates", "validate", "validate_rollout", after=_validated_and_created),
    _on(
        "everything_is_valid",
        "validate",
        "validate_rollout",
        after=answers(lambda value: {**value, "valid": True, "errors": []}),
    ),
]

QUERIES = [
    _on("query_never_truncated", "query", "run_query", after=answers(put("truncated", False))),
    _on("query_loses_rows", "query", "run_query", after=answers(put("rows", []))),
]

_BATCH = "create_rollout_batch"
BATCHES = [
    _on("batch_leaves_out_refusals", "batch", _BATCH, after=answers(_refused_left_out)),
    _on("batch_swallows_errors", "batch", _BATCH, after=answers(_refusals_without_reason)),
    _on("batch_is_all_or_nothing", "batch", _BATCH, before=_all_or_nothing),
    _on("batch_in_reverse", "batch", _BATCH, before=_in_reverse),
    _on("batch_counts_all", "batch", _BATCH, after=answers(lambda value: {**value, "refused": 0})),
    _on("batch_key_ignored", "batch", _BATCH, before=request_header_lost("idempotency-key")),
]

_REPLAY = "replay_rollout"
REPLAYS = [
    _on("replay_answers_the_original", "replay", _REPLAY, before=_the_original_again),
    _on("replay_without_its_task", "replay", _REPLAY, before=_without_its_task),
    _on("replay_names_nothing", "replay", _REPLAY, after=answers(put("replay_of", None))),
    _on("replay_key_ignored", "replay", _REPLAY, before=request_header_lost("idempotency-key")),
]

PAUSES = [
    _on("pause_only_says_so", "pause", "pause_pool", before=_only_said("pause", "paused")),
    _on("resume_only_says_so", "pause", "resume_pool", before=_only_said("resume", "active")),
    Fault(
        "paused_pool_admits",
        "pause",
        ("pause_pool", "create_rollout"),
        ("create_rollout",),
        before=_admitted_all_the_same,
    ),
    _on("pause_cancels_what_runs", "pause", "pause_pool", before=_paused_and_cancelled),
    _on("archived_pool_resumes", "pause", "resume_pool", after=_archived_resumes),
]

_ARTIFACT = "get_global_rollout_artifact"
_ZIP = "get_global_rollout_artifacts_zip"
_BUNDLE = "get_global_rollout_support_bundle"
DOWNLOADS = [
    _on("artifact_is_another", "download", _ARTIFACT, after=_other_bytes),
    _on("etag_of_another", "download", _ARTIFACT, after=_etag(lambda value: value[:0:-1] + '"')),
    _on("etag_without_quotes", "download", _ARTIFACT, after=_etag(lambda value: value.strip('"'))),
    _on("range_ignored", "download", _ARTIFACT, before=request_header_lost("range")),
    _on("range_one_too_short", "download", _ARTIFACT, after=_first_byte_missing),
    _on("if_range_ignored", "download", _ARTIFACT, before=request_header_lost("if-range")),
    _on("known_is_sent_again", "download", _ARTIFACT, before=request_header_lost("if-none-match")),
    _on("archive_is_empty", "download", _ZIP, after=_empty_archive),
    _on("archive_without_paths", "download", _ZIP, after=_flat_archive),
    _on("archive_cut_short", "download", _ZIP, after=_cut_archive),
    _on(
        "trajectory_with_all_steps",
        "download",
        "get_global_rollout_trajectory",
        before=query_lost("step"),
    ),
    _on("bundle_with_secrets", "download", _BUNDLE, after=_secrets_kept),
    _on("bundle_is_empty", "download", _BUNDLE, after=_empty_archive),
]

CONTAINERS = (
    [
        _on(
            f"{place}_{part}_wrapped",
            "container",
            f"get_{place}_container_{part}",
            after=answers(lambda value: {"data": value}),
        )
        for place, part in (("pool", "task_info"), ("task", "program"), ("pool", "taskset"))
    ]
    + [
        _on(
            f"{place}_{part}_made_up",
            "container",
            f"get_{place}_container_{part}",
            after=_missing_is_empty,
        )
        for place, part in (("task", "task_info"), ("pool", "program"), ("task", "taskset"))
    ]
    + [
        _on(
            "seed_of_task_info_lost",
            "container",
            "get_pool_container_task_info",
            before=query_lost("seed"),
        ),
        _on(
            "query_of_direct_rollout_lost",
            "container",
            "execute_task_container_rollout",
            before=query_lost("kit"),
        ),
    ]
)

SEVERAL = [
    Fault(
        "one_container_does_it_all",
        "container",
        ("create_pool", "create_rollout"),
        ("create_pool", "get_pool", "list_pools"),
        before=_first_container_only,
        after=_all_are_shown,
    )
]

_POOL_EVENTS = "stream_pool_events"


def _first_rollout_everywhere(page: dict[str, Any]) -> dict[str, Any]:
    events = page.get("events", [])
    first = next((event["rollout"] for event in events if "rollout" in event), None)
    wrong = [{**event, "rollout": first} if "rollout" in event else event for event in events]
    return {**page, "events": wrong}


POOLS = [
    _on(
        "pool_events_never_end",
        "pool events",
        _POOL_EVENTS,
        after=answers(lambda value: {**value, "ended": False}),
    ),
    _on(
        "pool_event_pages_lose_one",
        "pool events",
        _POOL_EVENTS,
        after=answers(lambda value: {**value, "events": value.get("events", [])[1:]}),
    ),
    _on(
        "pool_events_hold_another_rollout",
        "pool events",
        _POOL_EVENTS,
        after=answers(_first_rollout_everywhere),
    ),
    _on(
        "empty_event_page_has_no_position",
        "pool events",
        _POOL_EVENTS,
        after=answers(lambda page: page if page.get("events") else {**page, "next_cursor": "none"}),
        check="pool_events.live",
    ),
    _on("pool_events_ignore_cursors", "pool events", _POOL_EVENTS, before=query_lost("cursor")),
    _on(
        "logs_are_truncated",
        "logs",
        "get_pool_logs",
        after=answers(lambda value: {**value, "truncated": True}),
    ),
]


async def _run_stays(request: Request, passing: Passing) -> Response | None:
    """Answer as a deletion does, and delete nothing."""
    current = await passing.ask(sibling(request, "GET", request.path))
    value = current.json()
    if current.status != 200 or value["rollouts"]["running"] or value["rollouts"]["queued"]:
        return None
    return current.with_json({name: value[name] for name in value if name != "configuration"})


RUNS = [
    _on("run_deletion_only_says_so", "runs", "delete_run", before=_run_stays),
    _on(
        "runs_without_digests", "runs", "list_runs", after=answers(dropped("configuration_digest"))
    ),
]

FAULTS = [
    *POOLS,
    *RUNS,
    *VALIDATION,
    *QUERIES,
    *BATCHES,
    *REPLAYS,
    *PAUSES,
    *DOWNLOADS,
    *CONTAINERS,
    *SEVERAL,
]
