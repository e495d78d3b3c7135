"""Faults of containers, each with the check that has to see it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.contract.container.right_container import KEY, Act, Answer, Ask, Call

SUBMIT, _LOOK_UP = "POST /rollouts", "GET /rollouts/*"
_EVENTS, _TERMINATE = "GET /rollouts/*/events", "POST /rollouts/*/terminate"


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        name: Its name.
        check: The check that has to see it.
        act: What it does with a request.
        one_at_a_time: Whether it reads one request after the other.
    """

    name: str
    check: str
    act: Act
    one_at_a_time: bool = False


FAULTS: dict[str, Fault] = {}


def plant(name: str, check: str, act: Act, **more: bool) -> None:
    assert name not in FAULTS
    FAULTS[name] = Fault(name, check, act, **more)


def fault(check: str, **more: bool) -> Callable[[Act], Act]:
    def register(act: Act) -> Act:
        plant(getattr(act, "__name__"), check, act, **more)  # noqa: B009
        return act

    return register


def always(route: str, answer: Answer) -> Act:
    async def act(call: Call, ask: Ask) -> Answer:
        return answer if call.route == route else await ask(call)

    return act


def changed(route: str, change: Callable[[dict[str, Any]], Any]) -> Act:
    """Change the JSON of good answers."""

    async def act(call: Call, ask: Ask) -> Answer:
        answer = await ask(call)
        if call.route == route and answer.status < 300:
            answer.body = change(dict(answer.body))
        return answer

    return act


def at_end(change: Callable[[dict[str, Any]], dict[str, Any]], *routes: str) -> Act:
    """Change the end of rollouts."""

    async def act(call: Call, ask: Ask) -> Answer:
        answer = await ask(call)
        if call.route in (routes or (SUBMIT, _LOOK_UP)) and "metrics" in (answer.body or {}):
            answer.body = change(dict(answer.body))
        return answer

    return act


def without(*names: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda body: {name: value for name, value in body.items() if name not in names}


def _renamed_to_x(body: dict[str, Any]) -> dict[str, Any]:
    return {**body, "rollout_id": "x"}


_TEXT = Answer(200, text="ok", media_type="text/plain")
_RUNNING = Answer(200, {"status": "running"})
_SECOND = {"step_id": 2, "source": "user", "message": "Go."}
_NAN = Answer(200, {"x": float("nan")})
_BROKEN = Answer(500, text="Internal Server Error", media_type="text/plain")

plant("health_is_500", "answers.health", always("GET /health", _BROKEN))
plant("health_is_false", "answers.health", changed("GET /health", lambda _: {"healthy": False}))
plant("health_is_text", "answers.health", always("GET /health", _TEXT))
plant("health_is_a_list", "answers.health", changed("GET /health", lambda _: ["ok"]))
plant("info_is_500", "answers.descriptions", always("GET /info", _BROKEN))
plant("metadata_is_a_list", "answers.descriptions", changed("GET /metadata", lambda body: [body]))
plant("taskset_is_a_page", "answers.descriptions", always("GET /taskset", _TEXT))
plant(
    "nan_in_task_info", "answers.descriptions", always("GET /task_info", Answer(200, {"x": 1e999}))
)
plant("program_is_502", "answers.descriptions", always("GET /program", Answer(502, {})))

plant("submission_is_text", "protocol.modes", always(SUBMIT, _TEXT))
plant("submission_is_a_list", "protocol.modes", changed(SUBMIT, lambda body: [body]))
plant("state_is_a_number", "protocol.modes", changed(SUBMIT, lambda _: {"status": 1}))
plant("another_id", "protocol.modes", changed(SUBMIT, _renamed_to_x))
plant("never_ends", "protocol.modes", changed(_LOOK_UP, lambda _: {"status": "running"}))
plant("lookup_is_text", "protocol.modes", always(_LOOK_UP, _TEXT))
plant(
    "lookup_of_another",
    "protocol.modes",
    changed(_LOOK_UP, lambda body: {**body, "rollout_id": "x"}),
)
plant(
    "lookup_without_state", "protocol.modes", changed(_LOOK_UP, without("status", "success_status"))
)
plant("lookup_without_reward", "protocol.ended", at_end(without("metrics"), _LOOK_UP))
plant(
    "unknown_is_running", "protocol.unknown", always(_LOOK_UP, Answer(200, {"status": "running"}))
)
plant("events_are_a_list", "protocol.events", changed(_EVENTS, lambda body: body["events"]))
plant("event_pages_are_500", "protocol.events", always(_EVENTS, _BROKEN))
plant(
    "events_backwards",
    "protocol.events",
    changed(_EVENTS, lambda body: {**body, "events": body["events"][::-1]}),
)
plant("terminate_is_500", "rollouts.terminated", always(_TERMINATE, _BROKEN))
plant("terminate_does_nothing", "rollouts.terminated", always(_TERMINATE, Answer(202, {})))
plant(
    "reward_is_a_text",
    "rollouts.reward",
    at_end(lambda body: {**body, "metrics": {"outcome_reward": "0.5"}}),
)
plant(
    "reward_is_true",
    "rollouts.reward",
    at_end(lambda body: {**body, "metrics": {}, "reward": True}),
)
plant(
    "tokens_are_a_text",
    "rollouts.usage",
    at_end(lambda body: {**body, "usage": {"input_tokens": "3"}}),
)
plant(
    "tokens_are_negative",
    "rollouts.usage",
    at_end(lambda body: {**body, "usage": {"output_tokens": -1}}, SUBMIT),
)
plant(
    "cost_is_a_text", "rollouts.usage", at_end(lambda body: {**body, "usage": {"cost_usd": "$1"}})
)
plant(
    "trajectory_begins_at_2",
    "rollouts.trajectory",
    at_end(lambda body: {**body, "trajectory": {**body["trajectory"], "steps": [_SECOND]}}),
)
plant(
    "trajectory_without_agent",
    "rollouts.trajectory",
    at_end(lambda body: {**body, "trajectory": {"steps": body["trajectory"]["steps"]}}),
)
plant(
    "artifact_is_no_base64",
    "rollouts.artifacts",
    at_end(lambda body: {**body, "artifact": {**body["artifact"][0], "content": "no base64!"}}),
)


@fault("answers.descriptions")
async def query_breaks_it(call: Call, ask: Ask) -> Answer:
    return _BROKEN if call.parts == ["info"] and call.query else await ask(call)


@fault("answers.absent")
async def every_route_is_there(call: Call, ask: Ask) -> Answer:
    answer = await ask(call)
    return Answer(200, {}) if answer.status == 404 and call.parts[0] != "rollouts" else answer


@fault("protocol.modes")
async def running_is_unknown(call: Call, ask: Ask) -> Answer:
    answer = await ask(call)
    if call.route != _LOOK_UP:
        return answer
    reads = call.memory[call.id] = call.memory.get(call.id, 0) + 1
    # The first may come after the end.
    is_running = reads == 1 or (answer.body or {}).get("status") == "running"
    return Answer(404, {}) if is_running else answer


@fault("protocol.ended")
async def ended_runs_again(call: Call, ask: Ask) -> Answer:
    answer = await ask(call)
    if call.route == _LOOK_UP and "metrics" in (answer.body or {}):
        reads = call.memory[call.id] = call.memory.get(call.id, 0) + 1
        if reads > 2:
            return Answer(200, {"status": "running"})
    return answer


@fault("protocol.ended")
async def reward_changes(call: Call, ask: Ask) -> Answer:
    answer = await ask(call)
    if call.route == _LOOK_UP and "metrics" in (answer.body or {}):
        call.memory["reads"] = call.memory.get("reads", 0) + 1
        answer.body["metrics"] = {"outcome_reward": call.memory["reads"]}
    return answer


@fault("protocol.unknown")
async def unknown_breaks_it(call: Call, ask: Ask) -> Answer:
    answer = await ask(call)
    return _BROKEN if call.route == _LOOK_UP and answer.status == 404 else answer


@fault("protocol.unknown")
async def events_of_unknown_break_it(call: Call, ask: Ask) -> Answer:
    answer = await ask(call)
    return _BROKEN if call.route == _EVENTS and answer.status == 404 else answer


@fault("protocol.unknown")
async def terminating_unknown_breaks_it(call: Call, ask: Ask) -> Answer:
    answer = await ask(call)
    return _BROKEN if call.route == _TERMINATE and answer.status == 404 else answer


def _renamed(call: Call, name: Callable[[str], str]) -> None:
    if len(call.parts) > 1:
        call.parts[1] = name(call.parts[1])
    elif isinstance(call.body, dict) and "rollout_id" in call.body:
        call.body["rollout_id"] = name(call.body["rollout_id"])


@fault("protocol.ids")
async def long_ids_are_cut(call: Call, ask: Ask) -> Answer:
    _renamed(call, lambda text: text[:100])
    return await ask(call)


@fault("protocol.ids")
async def ids_lose_their_case(call: Call, ask: Ask) -> Answer:
    identity = call.id
    _renamed(call, str.lower)
    answer = await ask(call)
    if call.route == SUBMIT and answer.status < 300:
        answer.body["rollout_id"] = call.memory.setdefault(identity.lower(), identity)
    return answer


@fault("protocol.fields")
async def telemetry_is_refused(call: Call, ask: Ask) -> Answer:
    refused = call.route == SUBMIT and "telemetry" in (call.body or {})
    return Answer(422, {}) if refused else await ask(call)


@fault("protocol.fields")
async def further_fields_break_it(call: Call, ask: Ask) -> Answer:
    breaks = call.route == SUBMIT and "seed" in (call.body or {})
    return _BROKEN if breaks else await ask(call)


@fault("protocol.direct")
async def empty_body_ends_it(call: Call, ask: Ask) -> Answer:
    if call.route == SUBMIT and call.body == {}:
        call.memory["over"] = True
    return _BROKEN if "over" in call.memory else await ask(call)


@fault("protocol.repeated")
async def repetition_is_refused(call: Call, ask: Ask) -> Answer:
    if call.route == SUBMIT:
        if call.id in call.memory:
            return Answer(409, {"detail": "there already"})
        call.memory[call.id] = True
    return await ask(call)


@fault("protocol.key")
async def key_is_not_looked_at(call: Call, ask: Ask) -> Answer:
    call.key = KEY
    return await ask(call)


@fault("protocol.key")
async def key_of_states_is_not_looked_at(call: Call, ask: Ask) -> Answer:
    if call.route == _LOOK_UP:
        call.key = KEY
    return await ask(call)


@fault("protocol.key")
async def beginning_of_a_key_is_enough(call: Call, ask: Ask) -> Answer:
    call.key = (call.key or "")[: len(KEY)]
    return await ask(call)


@fault("protocol.key")
async def missing_key_breaks_it(call: Call, ask: Ask) -> Answer:
    return _BROKEN if call.key is None and call.parts != ["health"] else await ask(call)


@fault("protocol.events")
async def position_is_ignored(call: Call, ask: Ask) -> Answer:
    if call.route == _EVENTS:
        call.query["after"] = "0"
    return await ask(call)


@fault("protocol.events")
async def limit_is_ignored(call: Call, ask: Ask) -> Answer:
    if call.route == _EVENTS:
        call.query["limit"] = "1000"
    return await ask(call)


@fault("protocol.events")
async def events_come_once(call: Call, ask: Ask) -> Answer:
    answer = await ask(call)
    if call.route == _EVENTS and answer.status == 200:
        former = call.memory.setdefault(call.id, set())
        events = [event for event in answer.body["events"] if event["sequence"] not in former]
        former.update(event["sequence"] for event in events)
        answer.body = {"events": events}
    return answer


async def _until(is_so: Callable[[], bool]) -> None:
    """Wait, for half a minute at most, for what the kit does at the same time."""
    for _ in range(6_000):
        if is_so():
            return
        await asyncio.sleep(0.005)


def is_contact(call: Call) -> bool:
    """Check that a submission is the first one, beside which the kit sends nothing."""
    return bool(call.memory.setdefault("contact", call.id) == call.id)


async def _counted(
    call: Call, ask: Ask, is_so: Callable[[dict[str, Any]], bool], name: str = "running"
) -> tuple[int, Answer]:
    """Return the rollouts under way at the start of this one, which lasts until `is_so`.

    Whether they overlap does not depend on the speed of the machine.
    """
    memory = call.memory
    count = memory[name] = memory.get(name, 0) + 1
    memory[f"most {name}"] = max(count, memory.get(f"most {name}", 0))
    try:
        if not is_contact(call):
            await _until(lambda: is_so(memory))
        return count, await ask(call)
    finally:
        memory[name] -= 1


@fault("load.many")
async def more_than_ten_are_refused(call: Call, ask: Ask) -> Answer:
    if call.route != SUBMIT:
        return await ask(call)
    count, answer = await _counted(call, ask, lambda memory: memory["most running"] > 10)
    return Answer(429, {}) if count > 10 else answer


@fault("load.many")
async def ids_are_mixed_up(call: Call, ask: Ask) -> Answer:
    if call.route != SUBMIT:
        return await ask(call)
    call.memory["last"] = call.id
    _, answer = await _counted(call, ask, lambda memory: memory["most running"] > 1)
    return Answer(answer.status, {**answer.body, "rollout_id": call.memory["last"]})


@fault("load.many")
async def more_than_twenty_break_it(call: Call, ask: Ask) -> Answer:
    if call.route != SUBMIT:
        return await ask(call)
    count, answer = await _counted(call, ask, lambda memory: memory["most running"] > 20)
    return _BROKEN if count > 20 else answer


@fault("load.health")
async def unwell_while_it_works(call: Call, ask: Ask) -> Answer:
    memory = call.memory
    if call.route == SUBMIT:
        return (await _counted(call, ask, lambda _: "unwell" in memory))[1]
    if call.parts == ["health"]:
        if "contact" in memory:
            await _until(lambda: "unwell" in memory or memory["running"] > 0)
        is_well = memory.get("running", 0) == 0
        if not is_well:
            memory["unwell"] = True
        return Answer(200, {"healthy": is_well})
    return await ask(call)


@fault("load.slow_clients", one_at_a_time=True)
async def slow_clients_hold_up_others(call: Call, ask: Ask) -> Answer:
    return await ask(call)


@fault("load.lost_clients")
async def lost_clients_break_it(call: Call, ask: Ask) -> Answer:
    if call.route == SUBMIT and not is_contact(call):
        await _until(lambda: "left" in call.memory)
    return _BROKEN if "left" in call.memory else await ask(call)


@fault("load.repeated")
async def two_at_once_break_it(call: Call, ask: Ask) -> Answer:
    if call.route != SUBMIT:
        return await ask(call)
    count, answer = await _counted(call, ask, lambda memory: memory[f"most {call.id}"] > 1, call.id)
    return _BROKEN if count > 1 else answer


@fault("load.second_pool")
async def second_pool_is_refused(call: Call, ask: Ask) -> Answer:
    memory = call.memory
    if call.route == SUBMIT and "telemetry" in call.body:
        await _until(lambda: "refused" in memory or memory["running"] > 0)
        if not memory["running"]:
            return await ask(call)
        memory["refused"] = True
        return Answer(409, {})
    if call.route == SUBMIT:
        return (await _counted(call, ask, lambda _: "refused" in memory))[1]
    return await ask(call)


@fault("load.cancelled")
async def terminate_ends_all(call: Call, ask: Ask) -> Answer:
    if call.route == SUBMIT:
        call.memory[call.id] = True
    if call.route == _TERMINATE:
        for identity in call.memory:
            parts = ["rollouts", identity, "terminate"]
            await ask(Call("POST", parts, {}, call.key, {}, {}))
    return await ask(call)
