"""Built-in echo target: it answers at once with a copy of the request, or as `env` asks."""

from __future__ import annotations

import asyncio
from typing import Any

from synth_pools.backend.domain import json_text
from synth_pools.backend.domain.clock import now
from synth_pools.backend.domain.target import (
    Answer,
    EventPage,
    Probe,
    Report,
    TakePage,
    TargetError,
)

_NAME = "built-in echo target"
_DESCRIPTION = "Runs no task: it answers with a copy of the request."
_LONGEST_DELAY = 3600
_MOST_EVENTS = 1000


class EchoTarget:
    """Target without an address."""

    async def probe(self, probe: Probe, query: bytes = b"") -> Answer:
        del query  # It is the same for each seed.
        if probe == "health":
            return _answer({"status": "ok", "healthy": True, "runtime": "echo"})
        if probe == "task_info":
            task = {"task_id": "echo", "task_name": _NAME, "description": _DESCRIPTION}
            return _answer({"task": task, "metadata": {}})
        if probe in ("program", "taskset"):
            # A container that lacks the document gives the same answer.
            message = f"The {_NAME} has no {probe}."
            raise TargetError("container_http_error", message, {"status": 404}, 404)
        return _answer(
            {
                "runtime": "echo",
                "name": _NAME,
                "description": _DESCRIPTION,
                "capabilities": {"rollout_modes": ["sync"]},
                "metadata": {"env": ["delay", "fail", "reward", "events"]},
            }
        )

    def keeps_events(self) -> bool | None:
        return False  # Events are reported as they happen.

    def lacks_events(self) -> None:
        pass

    async def read_events(self, rollout_id: str, after: int, limit: int) -> EventPage | None:
        del rollout_id, after, limit  # The reported events are stored already.
        return None

    async def execute(self, body: bytes, limit_seconds: float, query: bytes = b"") -> Answer:
        del query
        return await self.run(json_text.loads(body), limit_seconds, _report_to_nobody)

    async def run(
        self,
        payload: dict[str, Any],
        limit_seconds: float,
        report: Report,
        take: TakePage | None = None,
    ) -> Answer:
        del take  # Events are reported one by one.
        try:
            async with asyncio.timeout(limit_seconds):
                return await _run(payload, report)
        except TimeoutError:
            raise TargetError(
                "container_timeout",
                f"The {_NAME} gave no answer within {limit_seconds:g} seconds.",
                {"timeout_seconds": limit_seconds},
            ) from None

    async def look_up(self, rollout_id: str) -> Answer | None:
        """Return None: its rollouts ended with the backend that ran them."""
        del rollout_id
        return None

    async def terminate(self, rollout_id: str) -> None:
        """Do nothing: the rollout ends when its caller stops waiting."""


async def _run(payload: dict[str, Any], report: Report) -> Answer:
    created_at = now()
    env = payload.get("env")
    env = env if isinstance(env, dict) else {}
    delay = _number(env, "delay", 0, _LONGEST_DELAY, default=0)
    events = int(_number(env, "events", 0, _MOST_EVENTS, default=1, integral=True))
    loop = asyncio.get_running_loop()
    begin = loop.time()
    for step in range(1, events + 1):
        # Timed by the clock, not by equal pauses, since storing an event takes time too.
        await asyncio.sleep(max(0.0, begin + delay * step / (events + 1) - loop.time()))
        await report({"step": step, "of": events, "message": "echo"})
    await asyncio.sleep(max(0.0, begin + delay - loop.time()))
    failed = env.get("fail") is True
    reward = env.get("reward", 1.0)
    if not json_text.is_number(reward):
        reward = 1.0
    answer = {
        "rollout_id": payload.get("rollout_id"),
        "status": "failed" if failed else "completed",
        "success_status": "failure" if failed else "success",
        "created_at": created_at,
        "updated_at": now(),
        "metrics": {"outcome_reward": None if failed else reward},
        "summary": {"reward": None if failed else reward},
        "echo": payload,
        "artifact": [
            {
                "name": "echo.json",
                "content": payload,
                "content_type": "application/json",
                "metadata": {},
            }
        ],
    }
    if failed:
        answer["status_detail"] = "env.fail asked for a failure"
    return _answer(answer)


def _number(
    env: dict[str, Any],
    key: str,
    least: float,
    most: float,
    *,
    default: float,
    integral: bool = False,
) -> float:
    """Read a number; one of another type or outside the range counts as not given."""
    value = env.get(key)
    if not json_text.is_number(value) or not least <= value <= most:
        return default
    if integral and value != int(value):
        return default
    return float(value)


async def _report_to_nobody(data: dict[str, Any]) -> None:
    del data


def _answer(document: dict[str, Any]) -> Answer:
    return Answer(document, json_text.dumps(document).encode("ascii"))
