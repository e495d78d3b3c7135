"""Rollouts on their way: the queue of each pool, attempts, ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from typing import Any

from tests.contract.second_backend.artifacts import take_artifacts
from tests.contract.second_backend.containers import (
    Answer,
    CallFailed,
    Containers,
    container_key,
    run_echo,
)
from tests.contract.second_backend.problems import Problem
from tests.contract.second_backend.rules import Rules
from tests.contract.second_backend.state import FINAL, Pool, Rollout, Store, is_number, text_of

_UNDER_WAY = {
    "accepted", "created", "in_progress", "pending", "processing", "queued", "running", "started",
    "starting", "submitted",
}  # fmt: skip
_BAD_ENDS = {"cancelled", "canceled", "error", "failed", "terminated", "timeout", "timed_out"}
_GOOD_ENDS = {"success", "succeeded", "completed", "ok"}
# Nobody waits for it; a container that is slow is to hear of it all the same.
_TERMINATE_SECONDS = 60.0
_FORGOTTEN = (404, 405, 410, 501)
_REWARDS = (
    ("metrics", "outcome_reward"),
    ("reward_info", "outcome_reward"),
    ("summary", "reward"),
    ("summary", "outcome_reward"),
    ("reward",),
)


class Runner:
    """Starts what waits, and sees to it until it has ended."""

    def __init__(self, store: Store, containers: Containers, keeps: Rules) -> None:
        self._store = store
        self._containers = containers
        self._keeps = keeps
        self._background: set[asyncio.Task[Any]] = set()

    def admit(self, rollout: Rollout) -> None:
        self._store.rollouts[rollout.id] = rollout
        rollout.pool.waiting.append(rollout)
        self._tell(rollout, "rollout.queued", {"status": "queued"})
        self.schedule(rollout.pool)

    def schedule(self, pool: Pool) -> None:
        """Start what may start now."""
        ready = [one for one in pool.waiting if not self._all_away(one)]
        if not self._keeps("queue.in_order"):
            ready.reverse()
        for rollout in ready:
            full = len(pool.running) >= pool.concurrency and self._keeps("queue.concurrency")
            paused = pool.state != "active" and self._keeps("pause.queue_waits")
            if full or paused or pool.state == "archived":
                return
            pool.waiting.remove(rollout)
            pool.running.append(rollout)
            rollout.work = self._start(self._run(rollout))

    def cancel(self, rollout: Rollout) -> None:
        """End a rollout that has not ended, and tell its container."""
        pool, work = rollout.pool, rollout.work
        if rollout in pool.waiting:
            pool.waiting.remove(rollout)
        elif work is not None:
            work.cancel()
            if rollout.container_url is not None and self._keeps("cancel.terminates"):
                self._start(self._terminate(rollout, rollout.container_url))
        self._finish(rollout, "cancelled", {})

    def task_deleted(self, pool: Pool, task_id: str) -> None:
        """Fail what waits for a task that is gone."""
        gone = [one for one in pool.waiting if one.task_id == task_id]
        for rollout in gone if self._keeps("tasks.deleted_fails_queued") else []:
            pool.waiting.remove(rollout)
            self._fail(rollout, "task_deleted", f"Task {task_id!r} was deleted.")

    def came_back(self, url: str) -> None:
        """Start what waited for a container; fail what has waited too long for one that is away."""
        del url
        now = self._store.clock.now()
        for pool in self._store.pools.values():
            for rollout in list(pool.waiting) if pool.state == "active" else []:
                since = rollout.away_since or max(
                    [rollout.created_at, *self._away_since(rollout)], default=rollout.created_at
                )
                waited = (now - since).total_seconds()
                if self._all_away(rollout) and waited > rollout.timeout:
                    pool.waiting.remove(rollout)
                    self._fail(rollout, "container_unreachable", "Its containers were away.")
            self.schedule(pool)

    async def close(self) -> None:
        for one in self._background:
            one.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    def _urls(self, rollout: Rollout) -> list[str]:
        task = rollout.pool.tasks.get(rollout.task_id or "")
        own = task.container_url if task and self._keeps("containers.of_task") else None
        return [own] if own else rollout.pool.urls

    def _all_away(self, rollout: Rollout) -> bool:
        urls = self._urls(rollout)
        return bool(urls) and all(self._containers.health[url].away for url in urls)

    def _away_since(self, rollout: Rollout) -> list[Any]:
        found = [self._containers.health[url].away_since for url in self._urls(rollout)]
        return [one for one in found if one is not None]

    async def _run(self, rollout: Rollout) -> None:
        pool = rollout.pool
        try:
            urls = self._urls(rollout)
            previous: dict[str, Any] | None = rollout.refused
            counts = rollout.refused is None
            rollout.refused = None
            while True:
                rollout.attempt += 1 if counts else 0
                url = self._containers.choose(urls, rollout.container_url) if urls else None
                rollout.container_url = url
                self._tell_start(rollout, previous)
                try:
                    answer = await self._attempt(rollout, url)
                except CallFailed as failed:
                    previous, counts = failed.error, True
                    if failed.unconnected and url is not None:
                        self._containers.checked(url, failed.message)
                        if self._went_away(url):
                            counts = False
                            if self._all_away(rollout):
                                self._put_back(rollout, failed.error)
                                return
                            continue
                    again = failed.lost and rollout.attempt < rollout.attempts
                    if again and self._keeps("attempts.further"):
                        await asyncio.sleep(0.2 * rollout.attempt if len(urls) < 2 else 0)
                        continue
                    self._fail(rollout, failed.code, failed.message, **failed.details)
                    return
                self._end(rollout, answer)
                return
        except Exception as error:  # noqa: BLE001 - whatever it is, the rollout has to end
            self._fail(rollout, "internal_error", f"The server failed: {type(error).__name__}.")
        finally:
            if rollout in pool.running:
                pool.running.remove(rollout)
            self.schedule(pool)

    def _went_away(self, url: str) -> bool:
        health = self._containers.health[url]
        if health.reached:
            health.away, health.away_since = True, health.away_since or self._store.clock.now()
        return health.reached

    def _put_back(self, rollout: Rollout, error: dict[str, Any]) -> None:
        pool = rollout.pool
        rollout.state, rollout.refused = "queued", error
        rollout.away_since = rollout.away_since or self._store.clock.now()
        pool.running.remove(rollout)
        pool.waiting.append(rollout)
        pool.waiting.sort(key=lambda one: one.number)
        self._tell(rollout, "rollout.queued", {"status": "queued", "previous_error": error})

    async def _attempt(self, rollout: Rollout, url: str | None) -> dict[str, Any]:
        """Have a container, or the echo target, do it; the answer is a final one."""
        sent = {
            name: value
            for name, value in rollout.request.items()
            if name not in ("pool_id", "mode") or not self._keeps("containers.keys_left_out")
        }
        mode = rollout.pool.config.get("submission_mode") or "sync"
        if self._keeps("containers.rollout_id"):
            sent["rollout_id"] = rollout.id
        sent["submission_mode"] = mode if self._keeps("containers.submission_mode") else "sync"
        if rollout.pool.config.get("telemetry") is not None:
            sent["telemetry"] = rollout.pool.config["telemetry"]
        limit = rollout.timeout if self._keeps("time_limit.counts") else 86400.0
        try:
            async with asyncio.timeout(limit):
                if url is None:
                    return await run_echo(sent, lambda data: self._agent(rollout, data))
                self._containers.running[url] += 1
                try:
                    return await self._on_container(rollout, url, json.dumps(sent).encode(), limit)
                finally:
                    self._containers.running[url] -= 1
        except TimeoutError:
            if url is not None:
                self._start(self._terminate(rollout, url))
            raise CallFailed("container_timeout", f"It took longer than {limit:g} s.") from None

    async def _on_container(
        self, rollout: Rollout, url: str, content: bytes, limit: float
    ) -> dict[str, Any]:
        try:
            key = container_key(rollout.pool.config)
        except Problem as problem:
            raise CallFailed(
                "container_unreachable", problem.message, cause="container_key_missing"
            ) from None
        answer = None
        for path in ("/rollouts", "/rollout"):
            rollout.uploaded += len(content)
            answer = await self._containers.call(
                "POST", url, path, key=key, content=content, timeout=limit
            )
            rollout.downloaded += len(answer.content)
            if answer.status != 404 or not self._keeps("containers.older_route"):
                break
        assert answer is not None
        said = _read(answer, rollout.id, self._keeps)
        if (answer.status == 202 or _under_way(said)) and self._keeps("containers.asked"):
            return await self._asked(rollout, url, key, limit)
        return said

    async def _asked(
        self, rollout: Rollout, url: str, key: str | None, limit: float
    ) -> dict[str, Any]:
        """Ask for the state of a rollout that is under way, until it is final."""
        pause = 0.1
        while True:
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 2.0)
            try:
                answer = await self._containers.call(
                    "GET", url, f"/rollouts/{rollout.id}", key=key, timeout=limit
                )
            except CallFailed as failed:
                # It was sent: that it cannot be reached now is no outage.
                failed.unconnected = False
                raise
            rollout.downloaded += len(answer.content)
            said = _read_again(answer, rollout.id, self._keeps)
            if not _under_way(said):
                return said

    async def _agent(self, rollout: Rollout, data: dict[str, Any]) -> None:
        self._tell(rollout, "agent", data)

    def _end(self, rollout: Rollout, answer: dict[str, Any]) -> None:
        rollout.reward = _reward(answer, self._keeps)
        rollout.artifacts = take_artifacts(answer, text_of(self._store.clock.now()), self._keeps)
        rollout.result = answer if self._keeps("rollouts.whole_answer") else _short(answer)
        if rollout.reward is not None and self._keeps("events.reward"):
            self._tell(rollout, "reward", {"outcome_reward": rollout.reward})
        if _ended_badly(answer, self._keeps):
            detail = answer.get("status_detail") or answer.get("error") or "no more is known"
            self._fail(rollout, "container_failed", f"The container reports a failure: {detail}")
        else:
            self._finish(rollout, "completed", {"outcome_reward": rollout.reward})

    def _fail(self, rollout: Rollout, code: str, message: str, **details: Any) -> None:
        said = code if self._keeps("rollouts.error_code") else "internal_error"
        rollout.error = {"code": said, "message": message}
        if details:
            rollout.error["details"] = details
        self._finish(rollout, "failed", {"error": rollout.error})

    def _finish(self, rollout: Rollout, state: str, data: dict[str, Any]) -> None:
        if rollout.state in FINAL:
            return
        rollout.state = state
        rollout.finished_at = rollout.updated_at = self._store.clock.now()
        rollout.events.add(
            f"rollout.{state}", text_of(rollout.finished_at), {"status": state, **data}
        )
        rollout.ended.set()
        if rollout in rollout.pool.running:
            rollout.pool.running.remove(rollout)
        self.schedule(rollout.pool)

    def _tell_start(self, rollout: Rollout, previous: dict[str, Any] | None) -> None:
        now = self._store.clock.now()
        rollout.state = "running"
        rollout.started_at, rollout.updated_at = rollout.started_at or now, now
        data: dict[str, Any] = {
            "status": "running",
            "attempt": rollout.attempt if self._keeps("attempts.counted") else 1,
            "container_url": rollout.container_url,
        }
        if previous is not None and self._keeps("attempts.previous_error"):
            data["previous_error"] = previous
        rollout.events.add("rollout.started", text_of(now), data)

    def _tell(self, rollout: Rollout, kind: str, data: dict[str, Any]) -> None:
        if rollout.state in FINAL:
            return
        rollout.updated_at = self._store.clock.now()
        rollout.events.add(kind, text_of(rollout.updated_at), data)

    async def _terminate(self, rollout: Rollout, url: str) -> None:
        try:
            key = container_key(rollout.pool.config)
            path = f"/rollouts/{rollout.id}/terminate"
            await self._containers.call(
                "POST", url, path, key=key, content=b"{}", timeout=_TERMINATE_SECONDS
            )
        except (CallFailed, Problem):
            return


def _read(answer: Answer, rollout_id: str, keeps: Rules) -> dict[str, Any]:
    if answer.status // 100 != 2 and keeps("containers.errors"):
        failed = CallFailed(
            "container_http_error", f"The container answered {answer.status}.", status=answer.status
        )
        failed.lost = answer.status >= 500
        raise failed
    try:
        said = answer.json()
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise CallFailed("container_bad_response", "The container answered no JSON object.")
    other = said.get("rollout_id", rollout_id) not in (rollout_id, None)
    if other and keeps("containers.other_rollout"):
        raise CallFailed("container_bad_response", "The container answered for another rollout.")
    says = isinstance(said.get("status"), str) or isinstance(said.get("success_status"), str)
    if not says and _reward(said, keeps) is None and keeps("containers.says_nothing"):
        if answer.status == 202:
            return {**said, "status": "accepted"}
        raise CallFailed(
            "container_bad_response", "The answer has no status, success_status or reward."
        )
    return said


def _read_again(answer: Answer, rollout_id: str, keeps: Rules) -> dict[str, Any]:
    forgotten = CallFailed(
        "container_bad_response",
        "The container no longer knows the rollout.",
        cause="rollout_forgotten",
    )
    forgotten.lost = keeps("attempts.forgotten")
    if answer.status in _FORGOTTEN:
        raise forgotten
    try:
        said = _read(answer, rollout_id, keeps)
    except CallFailed as failed:
        raise forgotten if failed.code == "container_bad_response" else failed from None
    if not isinstance(said.get("status"), str) and not isinstance(said.get("success_status"), str):
        raise forgotten
    return said


def _under_way(said: dict[str, Any]) -> bool:
    return str(said.get("status")).lower() in _UNDER_WAY


def _ended_badly(said: dict[str, Any], keeps: Rules) -> bool:
    status, success = said.get("status"), said.get("success_status")
    if isinstance(status, str) and status.lower() in _BAD_ENDS and keeps("containers.bad_status"):
        return True
    bad = isinstance(success, str) and success.lower() not in _GOOD_ENDS
    return bad and keeps("containers.bad_success_status")


def _reward(said: dict[str, Any], keeps: Rules) -> float | None:
    places = _REWARDS if keeps("rewards.order") else tuple(reversed(_REWARDS))
    for place in places:
        value: Any = said
        for name in place:
            value = value.get(name) if isinstance(value, dict) else None
        if is_number(value):
            return float(value) if isinstance(value, float) else value
    return None


def _short(answer: dict[str, Any]) -> dict[str, Any]:
    known = ("rollout_id", "status", "success_status", "metrics", "summary")
    return {name: answer[name] for name in known if name in answer}
