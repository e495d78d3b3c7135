"""Records of the containers, the client and the backend, and their comparison."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synth_pools import ContainerPoolsClient
from tests.system.crash.load import Asked

TERMINAL = {"rollout.completed", "rollout.failed", "rollout.cancelled"}


@dataclass
class Verdict:
    """Figures for people, and every departure in words."""

    rollouts: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    run_again: int = 0
    lost_in_restarts: int = 0
    never_run_but_failed: int = 0
    lost_with_container: int = 0
    events: int = 0
    wrong: list[str] = field(default_factory=list)

    def expect(self, holds: object, words: str) -> None:
        if not holds:
            self.wrong.append(words)


def read_ledger(file: Path) -> Counter[str]:
    return Counter(file.read_text().split()) if file.exists() else Counter()


def stored_rollouts(client: ContainerPoolsClient, pool_id: str) -> dict[str, dict[str, Any]]:
    values: dict[str, dict[str, Any]] = {}
    cursor = None
    while True:
        page = client.list_rollouts(pool_id, limit=500, cursor=cursor)
        for item in page["items"]:
            assert item["rollout_id"] not in values, "a rollout came on two pages"
            values[item["rollout_id"]] = item
        cursor = page["next_cursor"]
        if cursor is None:
            return values


def compare(
    request: Sequence[Asked],
    stored: Mapping[str, Mapping[str, dict[str, Any]]],
    ran: Mapping[str, Counter[str]],
    retained: Collection[str],
    killed: Collection[str] = (),
) -> Verdict:
    """Compare all three ledgers by pool.

    Args:
        request: The rollouts of the client.
        stored: The rollouts that the backend has stored.
        ran: The number of runs of each rollout in the containers.
        retained: The pools whose containers keep their rollouts.
        killed: The pools whose containers are killed.
    """
    verdict = Verdict(rollouts=len(request))
    ids = [item.rollout_id for item in request]
    verdict.expect(len(set(ids)) == len(ids), "two keys were given the same rollout")
    for pool_id, rollouts in stored.items():
        names = {item.rollout_id for item in request if item.pool_id == pool_id}
        verdict.expect(names <= set(rollouts), f"lost: {names - set(rollouts)}")
        verdict.expect(set(rollouts) <= names, f"nobody asked for: {set(rollouts) - names}")
        strays = set(ran[pool_id]) - set(rollouts)
        verdict.expect(not strays, f"the container ran what is not there: {strays}")
    for item in request:
        rollout = stored[item.pool_id].get(item.rollout_id)
        if rollout is not None:
            runs = ran[item.pool_id][item.rollout_id]
            _compare_one(
                verdict, item, rollout, runs, item.pool_id in retained, item.pool_id in killed
            )
    return verdict


def _compare_one(
    verdict: Verdict,
    request: Asked,
    rollout: Mapping[str, Any],
    runs: int,
    is_kept: bool,
    is_killed: bool,
) -> None:
    name, status = request.rollout_id, rollout["status"]
    code = (rollout["error"] or {}).get("code")
    verdict.statuses[status] += 1
    verdict.runs += runs
    types = [event["event"] for event in request.events]
    starts = [
        event["data"]["attempt"] for event in request.events if event["event"] == "rollout.started"
    ]
    # An event without a listener was not sent: the rollout starts again with the same attempt.
    attempts = len(set(starts)) if is_killed else len(starts)
    verdict.expect(sorted(set(starts)) == list(range(1, 1 + len(set(starts)))), f"{name}: {starts}")
    verdict.run_again += max(0, attempts - 1)
    verdict.expect(status in {"completed", "failed", "cancelled"}, f"{name} is still {status}")
    verdict.expect(rollout["request"] == request.request, f"{name} has another request")

    # At most once, or as often as was allowed, and never without an event that says so.
    verdict.expect(runs <= attempts, f"{name} ran {runs} times, its events tell of {attempts}")
    verdict.expect(attempts <= request.most_attempts, f"{name} was started {attempts} times")
    if status == "completed":
        verdict.expect(runs >= 1, f"{name} completed and never ran")
        reward = rollout["metrics"]["outcome_reward"]
        verdict.expect(reward == request.request["seed"], f"{name} has the outcome of another one")
    if status == "failed":
        # It was not reached, or its answer broke off.
        cause = (rollout["error"].get("details") or {}).get("cause")
        died = code == "container_unreachable" or (code == "container_bad_response" and cause)
        died_with_container = is_killed and bool(died)
        expected = died_with_container or code == "backend_restarted"
        verdict.expect(expected, f"{name} failed: {rollout['error']}")
        verdict.expect(attempts == request.most_attempts, f"{name} had attempts left")
        verdict.lost_with_container += died_with_container
        verdict.lost_in_restarts += not died_with_container
        verdict.never_run_but_failed += runs == 0 and not died_with_container
        # A restart must not lose rollouts that their containers have.
        verdict.expect(not (is_kept and runs), f"{name} was lost, though its container keeps it")
    if request.cancelled:
        verdict.expect(status == "cancelled", f"{name} was cancelled, and is {status}")

    # The stream that was read in pieces over all the restarts.
    verdict.events += len(request.events)
    sequence = [event["sequence"] for event in request.events]
    verdict.expect(sequence == list(range(1, len(sequence) + 1)), f"{name}: events {sequence}")
    last = [type_ for type_ in types if type_ in TERMINAL]
    verdict.expect(last == types[-1:], f"{name}: {types}")
    verdict.expect(types[-1:] == [f"rollout.{status}"], f"{name} is {status}, events say {types}")
