"""Ends of rollouts: the answers that a pool reads, of successes, failures and what was stopped."""

from __future__ import annotations

import asyncio
import math
import sys
import sysconfig
import traceback
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from synth_pools.container.encoding import artifact_json, write_json
from synth_pools.container.rollout import EpisodeError, Reports, Result, Rollout

_STOPS = {
    "timeout": "The episode was stopped: the time of the rollout is over.",
    "cancelled": "The rollout was cancelled.",
    "terminated": "The container was stopped.",
}
_SUCCESS = {"completed": "success", "failed": "failure"}
_MOST_SHOWN = 5
_LIBRARIES = tuple(
    {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    | {str(Path(__file__).parent), "<frozen "}
)


class SetupError(Exception):
    """Failure of the container's own code before it could take rollouts."""


class Episode:
    """Run of one rollout, and its answer.

    Args:
        rollout: The rollout.
        report: Its reports.
        patience_seconds: The time that its function has for its end once it is cancelled.

    Attributes:
        status: `queued`, `running` or `ended`.
        answer: The answer, once it has ended.
        ended: Set at its end.
        read: Set once the answer was sent.
        stopping: The reason to stop it, once there is one.
    """

    def __init__(self, rollout: Rollout, report: Reports, patience_seconds: float) -> None:
        self.rollout = rollout
        self.report = report
        self.patience_seconds = patience_seconds
        self.status = "queued"
        self.answer = b""
        self.ended = asyncio.Event()
        self.read = asyncio.Event()
        self.stopping: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._created_at = datetime.now(UTC)

    def stop(self, reason: str) -> None:
        """Have it stopped, unless it is already: `timeout`, `cancelled` or `terminated`."""
        if not self.stopping.done():
            self.stopping.set_result(reason)

    def close(self, answer: bytes) -> None:
        """End it with an answer."""
        self.status, self.answer = "ended", answer
        self.report.close()
        # They are in the answer.
        self.report.artifacts = {}
        self.ended.set()

    def state(self) -> bytes:
        """Write its answer, or its state before that."""
        if self.ended.is_set():
            self.read.set()
            return self.answer
        return write_json({"rollout_id": self.rollout.id, "status": self.status}).encode()

    def awaiting(self, play: Callable[[Rollout], Any]) -> Callable[[], Any]:
        """Return an async function that plays it, and writes its answer."""

        async def body() -> bytes:
            try:
                return self.played(await play(self.rollout))
            # Whatever it is, for example `sys.exit`, the container goes on.
            except BaseException as error:  # noqa: BLE001
                return self.failed(error)

        return body

    def calling(self, play: Callable[[Rollout], Any]) -> bytes:
        """Play it in this thread, and write its answer."""
        try:
            return self.played(play(self.rollout))
        except BaseException as error:  # noqa: BLE001 - as above
            return self.failed(error)

    def played(self, value: Any) -> bytes:
        """Write the answer to a rollout whose function has returned.

        Raises:
            TypeError: It returned something else than a result.
            OSError: A file among its artifacts cannot be read.
        """
        if value is None or isinstance(value, int | float) or hasattr(value, "__float__"):
            value = Result(value)
        if not isinstance(value, Result):
            raise TypeError(
                f"The function returned {type(value).__name__}: return a Result or a number."
            )
        reward = self.rollout.reward if value.reward is None else value.reward
        if reward is not None and not math.isfinite(reward):
            raise ValueError(f"The reward is {reward}, and not a finite number.")
        for name, content in value.artifacts.items():
            self.report.add_artifact(name, artifact_json(name, content))
        fields = dict(value.extra)
        if value.usage is not None:
            fields["usage"] = value.usage
        self.rollout.metrics |= value.metrics
        self.rollout.reward = reward
        return self._end("completed", None, fields)

    def failed(self, error: BaseException) -> bytes:
        """Write the answer to a rollout whose function has raised."""
        if isinstance(error, EpisodeError):
            return self._end(error.status, error.message, {})
        if self.report.is_cancelled and isinstance(error, asyncio.CancelledError):
            # Dropped: it was stopped.
            return b""
        self.report.add_log("".join(traceback.format_exception(_without_ours(error))))
        problem = {"type": type(error).__name__, "message": _text(error), "place": place_of(error)}
        return self._end("failed", _sentence(error), {"error": problem}, "runtime_error")

    def stopped(self) -> bytes:
        """Write the answer to a rollout that was stopped."""
        reason = self.stopping.result()
        return self._end(reason, _STOPS[reason], {})

    def unknown_task(self, task_ids: Sequence[str]) -> bytes:
        """Write the answer to a rollout of a task that the container does not have."""
        names = ", ".join(task_ids[:_MOST_SHOWN])
        more = ", ..." if len(task_ids) > _MOST_SHOWN else ""
        detail = f"There is no task {self.rollout.task_id!r} here. The tasks are: {names}{more}"
        return self._end("failed", detail, {})

    def _end(
        self,
        status: str,
        detail: str | None,
        fields: Mapping[str, Any],
        success_status: str | None = None,
    ) -> bytes:
        rollout, report = self.rollout, self.report
        report.close()
        metrics, reward = dict(rollout.metrics), rollout.reward
        metrics.pop("outcome_reward", None)
        answer = {
            "usage": report.usage,
            **fields,
            "rollout_id": rollout.id,
            "status": status,
            "success_status": success_status or _SUCCESS.get(status, status),
            "status_detail": detail,
            "metrics": metrics,
            "event_count": len(report.events),
            "created_at": self._created_at.isoformat(),
            "updated_at": datetime.now(UTC).isoformat(),
        }
        if reward is not None:
            # Only an episode that was played has a score.
            if status == "completed":
                metrics["outcome_reward"] = float(reward)
            else:
                answer["partial"] = {"reward": reward}
        artifacts = report.artifacts
        if (log := report.log) and "log.txt" not in artifacts:
            artifacts = {**artifacts, "log.txt": artifact_json("log.txt", log, artifact_type="log")}
        # Each artifact is JSON already.
        head = write_json(answer)[:-1]
        return f'{head},"artifacts":[{",".join(artifacts.values())}]}}'.encode()


def describe_setup(error: BaseException) -> str:
    """Write a traceback of the user's own lines, and the last of them in a sentence at the end."""
    lines = traceback.format_exception(_without_ours(error))
    place = place_of(error)
    where = f"{place}: " if place else ""
    advice = ""
    if isinstance(error, ModuleNotFoundError):
        advice = f" Install it into the environment of {sys.executable}."
    return f"{''.join(lines)}\nThe container cannot start. {where}{_sentence(error)}{advice}"


def place_of(error: BaseException) -> str | None:
    """Return the file and the line of the user's own code that an exception came through last."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}, line {error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    places = [frame for frame in frames if not frame.filename.startswith(_LIBRARIES)]
    return f"{places[-1].filename}, line {places[-1].lineno}" if places else None


def _without_ours(error: BaseException) -> BaseException:
    """Drop the frames of this package from the top of a traceback."""
    rest = error.__traceback__
    while rest is not None and rest.tb_frame.f_code.co_filename.startswith(_LIBRARIES):
        rest = rest.tb_next
    return error.with_traceback(rest or error.__traceback__)


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - code of others
        return ""


def _sentence(error: BaseException) -> str:
    text = _text(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
