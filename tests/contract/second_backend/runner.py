"""Rollouts on their way: the queue of each pool, attempts, ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from typing import Any

from tests.contract.second_backend.artifacts import is_decodable, take_artifacts
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
_BAD_ENDS = {
    "aborted", "canceled", "cancelled", "error", "failed", "terminated", "timed_out", "timeout",
}  # fmt: skip
_GOOD_ENDS = {"success", "succeeded", "completed", "ok"}
# Nobody waits for it; even a slow container has to get the message.
_TERMINATE_SECONDS = 60.0
_FORGOTTEN = (404, 405, 410, 501)
_REWARDS = (
    ("metrics", "outcome_reward"),
    ("reward_info", "outcome_reward"),
    ("summary", "reward"),
    ("summary", "outcome_reward"),
    ("reward",),
)


def _share(rollout: Rollout) -> str:
    return str(rollout.request.get("run") or "")


class Runner:
    """Starts queued rollouts, and supervises them until they end."""

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
        """Start the rollouts that may start now."""
        # Most calls start nothing, however many wait.
        waiting = pool.waiting if pool.may_start() else []
        ready = [rollout for rollout in waiting if not self._all_away(rollout)]
        if not self._keeps("queue.in_order"):
            ready.reverse()
        if not self._keeps("queue.in_share"):
            ready.sort(key=lambda rollout: -(rollout.request.get("priority") or 0))
        while ready and pool.may_start():
            rollout = self._next(pool, ready)
            ready.remove(rollout)
            pool.waiting.remove(rollout)
            pool.running.append(rollout)
            self._count(pool, rollout)
            rollout.work = self._start(self._run(rollout))

    def _next(self, pool: Pool, ready: list[Rollout]) -> Rollout:
        """Choose the first rollout of the share that has started the least."""
        if not self._keeps("queue.shares"):
            return ready[0]
        return min(ready, key=lambda rollout: pool.started(_share(rollout)))

    def _count(self, pool: Pool, rollout: Rollout) -> None:
        """Count a start of a share; forget the shares of which nothing waits."""
        pool.level = pool.started(_share(rollout))
        weight = pool.weight(rollout.request.get("priority") or 0)
        waiting = set(map(_share, pool.waiting))
        starts = {share: pool.started(share) for share in waiting}
        starts[_share(rollout)] = pool.level + (weight if self._keeps("queue.priority") else 1)
        pool.shares = starts

    def cancel(self, rollout: Rollout) -> None:
        """End a rollout, and tell its container."""
        pool, work = rollout.pool, rollout.work
        if rollout in pool.waiting:
            pool.waiting.remove(rollout)
        elif work is not None:
            work.cancel()
            if rollout.container_url is not None and self._keeps("cancel.terminates"):
                self._start(self._terminate(rollout, rollout.container_url))
        self._finish(rollout, "cancelled", {})

    def task_deleted(self, pool: Pool, task_id: str) -> None:
        """Fail the queued rollouts of a deleted task."""
        orphans = [rollout for rollout in pool.waiting if rollout.task_id == task_id]
        for rollout in orphans if self._keeps("tasks.deleted_fails_queued") else []:
            pool.waiting.remove(rollout)
            self._fail(rollout, "task_deleted", f"Task {task_id!r} was deleted.")

    def came_back(self, url: str) -> None:
        """Start rollouts whose container is back; fail rollouts that waited too long."""
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
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    def _urls(self, rollout: Rollout) -> list[str]:
        task = rollout.pool.tasks.get(rollout.task_id or "")
        task_url = task.container_url if task and self._keeps("containers.of_task") else None
        return [task_url] if task_url else rollout.pool.urls

    def _all_away(self, rollout: Rollout) -> bool:
        urls = self._urls(rollout)
        return bool(urls) and all(self._containers.health[url].away for url in urls)

    def _away_since(self, rollout: Rollout) -> list[Any]:
        times = [self._containers.health[url].away_since for url in self._urls(rollout)]
        return [since for since in times if since is not None]

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
                while not pool.is_due(self._store.clock.now()):  # noqa: ASYNC110 - time passes
                    await asyncio.sleep(0.02)
                self._tell_start(rollout, previous)
                pool.starts.append(self._store.clock.now())
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
        except Exception as error:  # noqa: BLE001 - after any error the rollout has to end
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
        if rollout.attempt == 1 and self._keeps("outages.start_taken_back"):
            rollout.started_at = None
        rollout.away_since = rollout.away_since or self._store.clock.now()
        pool.running.remove(rollout)
        pool.waiting.append(rollout)
        pool.waiting.sort(key=lambda rollout: rollout.number)
        self._tell(rollout, "rollout.queued", {"status": "queued", "previous_error": error})

    async def _attempt(self, rollout: Rollout, url: str | None) -> dict[str, Any]:
        """Run a rollout on a container or the echo target, and return its final answer."""
        sent = {
            name: value
            for name, value in rollout.request.items()
            if name not in ("pool_id", "mode") or not self._keeps("containers.keys_left_out")
        }
        if url is None and rollout.pool.target != "arbitrary":
            raise CallFailed("container_unreachable", "Nothing runs the target of this pool.")
        mode = rollout.pool.config.get("submission_mode") or "sync"
        if self._keeps("containers.rollout_id"):
            sent["rollout_id"] = rollout.id
        sent["submission_mode"] = mode if self._keeps("containers.submission_mode") else "sync"
        if (telemetry := rollout.pool.telemetry(mode)) is not None:
            sent["telemetry"] = telemetry
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
        body = _read(answer, rollout.id, self._keeps)
        is_pending = _under_way(body) and self._keeps("containers.pending")
        if (answer.status == 202 or is_pending) and self._keeps("containers.asked"):
            return await self._asked(rollout, url, key, limit)
        return body

    async def _asked(
        self, rollout: Rollout, url: str, key: str | None, limit: float
    ) -> dict[str, Any]:
        """Poll the state of a rollout until it is final."""
        pause = 0.1
        while True:
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 2.0)
            try:
                answer = await self._containers.call(
                    "GET", url, f"/rollouts/{rollout.id}", key=key, timeout=limit
                )
            except CallFailed as failed:
                # The rollout was sent: an unreachable container is no outage now.
                failed.unconnected = False
                raise
            rollout.downloaded += len(answer.content)
            body = _read_again(answer, rollout.id, self._keeps)
            if not _under_way(body):
                return body

    async def _agent(self, rollout: Rollout, data: dict[str, Any]) -> None:
        self._tell(rollout, "agent", data)

    def _end(self, rollout: Rollout, answer: dict[str, Any]) -> None:
        field = None if _ended_badly(answer, self._keeps) else _unusable_field(answer)
        if field is not None:
            self._fail(rollout, "container_bad_response", f"No use: {field}", field=field)
            return
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
        shown_code = code if self._keeps("rollouts.error_code") else "internal_error"
        rollout.error = {"code": shown_code, "message": message}
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
        rollout.done.set()
        if rollout in rollout.pool.running:
            rollout.pool.running.remove(rollout)
        self.schedule(rollout.pool)

    def _tell_start(self, rollout: Rollout, previous: dict[str, Any] | None) -> None:
        now = self._store.clock.now()
        rollout.state = "running"
        rollout.updated_at = now
        if rollout.started_at is None or not self._keeps("attempts.first_start"):
            rollout.started_at = now
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
        first = 500 if keeps("attempts.refusal_ends") else 408
        last = 599 if keeps("attempts.each_failure") else 500
        failed.lost = first <= answer.status <= last
        raise failed
    try:
        body = answer.json()
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise CallFailed("container_bad_response", "The container answered no JSON object.")
    is_other = body.get("rollout_id", rollout_id) not in (rollout_id, None)
    if is_other and keeps("containers.other_rollout"):
        raise CallFailed("container_bad_response", "The container answered for another rollout.")
    says = isinstance(body.get("status"), str) or isinstance(body.get("success_status"), str)
    if not says and _reward(body, keeps) is None and keeps("containers.says_nothing"):
        if answer.status == 202:
            return {**body, "status": "accepted"}
        raise CallFailed(
            "container_bad_response", "The answer has no status, success_status or reward."
        )
    return body


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
        body = _read(answer, rollout_id, keeps)
    except CallFailed as failed:
        raise forgotten if failed.code == "container_bad_response" else failed from None
    if not isinstance(body.get("status"), str) and not isinstance(body.get("success_status"), str):
        raise forgotten
    return body


def _under_way(body: dict[str, Any]) -> bool:
    return str(body.get("status")).lower() in _UNDER_WAY


def _ended_badly(body: dict[str, Any], keeps: Rules) -> bool:
    status, success = body.get("status"), body.get("success_status")
    if isinstance(status, str) and status.lower() in _BAD_ENDS and keeps("containers.bad_status"):
        return True
    bad = isinstance(success, str) and success.lower() not in _GOOD_ENDS
    return bad and keeps("containers.bad_success_status")


def _reward(body: dict[str, Any], keeps: Rules) -> float | None:
    places = _REWARDS if keeps("rewards.order") else tuple(reversed(_REWARDS))
    for place in places:
        value = value_at(body, place)
        if is_number(value):
            return float(value) if isinstance(value, float) else value
    return None


def _unusable_field(body: dict[str, Any]) -> str | None:
    """Name the first field of an answer whose reward or artifacts cannot be used."""
    values = {place: value_at(body, place) for place in _REWARDS}
    others = [place for place, value in values.items() if value is not None]
    if others and not any(map(is_number, values.values())):
        return ".".join(others[0])
    key = "artifacts" if body.get("artifact") is None else "artifact"
    entries = body.get(key)
    for number, entry in enumerate(entries if isinstance(entries, list) else [entries]):
        field = f"{key}[{number}]" if isinstance(entries, list) else key
        if entry is not None and not isinstance(entry, dict):
            return field
        if entry is not None and not is_decodable(entry):
            return f"{field}.content"
    return None


def value_at(body: dict[str, Any], place: tuple[str, ...]) -> Any:
    value: Any = body
    for name in place:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _short(answer: dict[str, Any]) -> dict[str, Any]:
    fields = ("rollout_id", "status", "success_status", "metrics", "summary")
    return {name: answer[name] for name in fields if name in answer}
