"""Ends of rollouts: the answers that a pool reads, of successes, failures and what was stopped."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import sys
import traceback
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from synth_pools.container.encoding import write_artifact, write_json
from synth_pools.container.models import KEY_VARIABLE, RecordedModels
from synth_pools.container.rollout import EpisodeError, Result, Rollout
from synth_pools.container.trajectory import LARGEST_ANSWER, Trajectory, usage_of

_STOPS = {
    "timeout": "The episode was stopped: the time of the rollout is over.",
    "cancelled": "The rollout was cancelled.",
    "terminated": "The container was stopped.",
}
_LONGEST_LOG = 1024 * 1024
_SUCCESS = {"completed": "success", "failed": "failure"}
_LIBRARIES = (str(Path(os.__file__).parent), str(Path(__file__).parent.parent), "<frozen ")


# EX_CONFIG of sysexits.h: another start would end in the same way.
SETUP_STATUS = 78


class SetupError(Exception):
    """Failure of the container's own code before it could take rollouts."""


class Episode(Rollout):
    """Run of a rollout, and its answer.

    Args:
        patience_seconds: The time that its function has for its end once it is cancelled.
        models: The recorder of its calls of models.
        sent: The arguments of `Rollout`.

    Attributes:
        status: `queued`, `running` or `ended`.
        patience_seconds: As above.
        ended: Set at its end.
        read: Set once the answer was sent, of a cancelled one where it was asked for.
        stopping: The reason to stop it, once there is one.
    """

    def __init__(self, patience_seconds: float, models: RecordedModels, *sent: Any) -> None:
        super().__init__(*sent)
        self.status = "queued"
        self.patience_seconds = patience_seconds
        self.ended = asyncio.Event()
        self.read = asyncio.Event()
        self._serving = asyncio.get_running_loop()
        self.stopping: asyncio.Future[str] = self._serving.create_future()
        self._news = asyncio.Event()
        self._log: list[str] = []
        self._log_length = 0
        self._answer = b""
        self._created_at = datetime.now(UTC)
        self._models, self._open_model = models, models.open

    def stop(self, reason: str) -> None:
        """Have it stopped, unless it is already: `timeout`, `cancelled` or `terminated`."""
        if not self.stopping.done():
            self.stopping.set_result(reason)

    def end(self, answer: bytes) -> int:
        """End it with an answer; return the bytes that it occupies from now on."""
        self.status, self._answer = "ended", answer
        # All of it is in the answer, or needed by the function alone.
        self._is_closed, self._artifacts, self._log = True, {}, []
        self.trajectory.close()
        self.request = self.env = self.policy = self.params = self.task = {}
        self.ended.set()
        self._news.set()
        return len(answer) + self._event_bytes

    def state(self, most_bytes: float = math.inf, *, is_asked: bool = False) -> bytes:
        """Write its answer, or its state before that, also of an answer that has more bytes."""
        if self.ended.is_set() and len(self._answer) <= most_bytes:
            # A pool that cancels a rollout no longer reads the answer to its submission.
            if is_asked or not self.stopping.done() or self.stopping.result() != "cancelled":
                self.read.set()
            return self._answer
        status = "running" if self.ended.is_set() else self.status
        return write_json({"rollout_id": self.id, "status": status}).encode()

    def log(self, text: str) -> None:
        """Add to the log, of which the end is kept."""
        with self._lock:
            if self._is_closed:
                return
            self._log.append(text)
            self._log_length += len(text)
            if self._log_length > 2 * _LONGEST_LOG:
                rest = "".join(self._log)[-_LONGEST_LOG:]
                self._log, self._log_length = ["[...]\n", rest], _LONGEST_LOG

    def events(self, after: int, limit: int) -> tuple[list[str], bool]:
        """Return events after a position, and whether there are more."""
        texts = self._events[after : after + limit]
        return texts, after + len(texts) < len(self._events)

    async def has_news(self, after: int) -> None:
        """Wait for an event after a position, or for the end."""
        while not self.ended.is_set():
            self._news.clear()
            # First this, since another thread may report an event at any moment.
            self._on_event = self._tell_news
            if len(self._events) > after:
                return
            await self._news.wait()

    def _tell_news(self) -> None:
        # The container may have ended before its function.
        with contextlib.suppress(RuntimeError):
            self._serving.call_soon_threadsafe(self._news.set)

    def conclude(self, value: Any, error: BaseException | None) -> bytes:
        """Write the answer when the function has returned or raised, in its own thread."""
        try:
            self._models.end_from_thread(self)
            return self._played(value) if error is None else self.failed(error)
        # The result may be of any kind, and the rollout cancelled by now.
        except BaseException as odd:  # noqa: BLE001
            try:
                return self.failed(odd)
            # There may be no memory for it.
            except BaseException as last:  # noqa: BLE001
                return self.lost(last)

    def lost(self, error: BaseException) -> bytes:
        """Write the answer to a rollout that has no other."""
        detail = f"The container could not run it: {_sentence(error)}"
        answer = {"rollout_id": self.id, "status": "failed", "status_detail": detail}
        return write_json(answer).encode()

    def _played(self, value: Any) -> bytes:
        if value is None or hasattr(value, "__float__"):
            value = Result(value)
        if not isinstance(value, Result):
            kind = type(value).__name__
            raise TypeError(f"The function returned {kind}: return a Result or a number.")
        reward = self.reward if value.reward is None else value.reward
        if reward is not None and not math.isfinite(reward):
            raise ValueError(f"The reward is {reward}, and not a finite number.")
        for name, content in value.artifacts.items():
            self.artifact(name, content)
        self.reward = None if reward is None else float(reward)
        self.metrics = {**self.metrics, **value.metrics}
        usage = {} if value.usage is None else {"usage": value.usage}
        return self._write("completed", None, {**value.extra, **usage}, value.trajectory)

    def failed(self, error: BaseException) -> bytes:
        """Write the answer to a rollout whose function has raised."""
        if self.is_cancelled and isinstance(error, asyncio.CancelledError):
            # It was stopped, which is its answer.
            return b""
        if not isinstance(error, EpisodeError):
            self.log("".join(traceback.format_exception(_without_ours(error))))
        if self.refusal is not None:
            return self._write("timeout", self.refusal, {})
        if isinstance(error, EpisodeError):
            return self._write(error.status, error.message, {})
        problem = {"type": type(error).__name__, "place": _place_of(error)}
        fields = {"error": problem, "success_status": "runtime_error"}
        return self._write("failed", _sentence(error), fields)

    def stopped(self) -> bytes:
        """Write the answer to a rollout that was stopped."""
        reason = self.stopping.result()
        return self._write(reason, _STOPS[reason], {})

    def refused(self, task_ids: Collection[str]) -> bytes:
        """Write the answer to a rollout of a task that the container does not have."""
        names = ", ".join(list(task_ids)[:5])
        more = ", ..." if len(task_ids) > 5 else ""
        detail = f"There is no task {self.task_id!r} here. The tasks are: {names}{more}"
        return self._write("failed", detail, {})

    def _write(
        self,
        status: str,
        detail: str | None,
        fields: Mapping[str, Any],
        trajectory: Trajectory | Mapping[str, Any] | None = None,
    ) -> bytes:
        # Needed here alone, as what serves a container is.
        from synth_pools.serving.masking import Mask

        with self._lock:
            self._is_closed = True
        # Servers of models repeat a key that they refuse, and clients raise what they are told.
        mask = self.mask or Mask([os.environ.get(KEY_VARIABLE, "")])
        # The function may have made anything of them.
        metrics = dict(self.metrics) if isinstance(self.metrics, dict) else {}
        metrics.pop("outcome_reward", None)
        if status == "completed" and self.reward is not None:
            metrics["outcome_reward"] = self.reward
        # Only an episode that was played has a score.
        partial = {} if status == "completed" else {"partial": {"reward": self.reward}}
        estimated = {"estimated_cost_usd": self.estimated_usd} if self.estimated_usd else {}
        answer = {
            "usage": {**self.trajectory.usage, **estimated, **usage_of(trajectory), **self._usage},
            "success_status": _SUCCESS.get(status, status),
            **partial,
            **fields,
            "rollout_id": self.id,
            "status": status,
            "status_detail": None if detail is None else mask.text(detail),
            "metrics": metrics,
            "event_count": len(self._events),
            "created_at": self._created_at.isoformat(),
            "updated_at": datetime.now(UTC).isoformat(),
        }
        artifacts = self._artifacts
        if self._log and "log.txt" not in artifacts:
            log = write_artifact("log.txt", mask.text("".join(self._log)), artifact_type="log")
            artifacts = {**artifacts, "log.txt": log}
        # Each of these is JSON already.
        text = f'{write_json(answer)[:-1]},"artifacts":[{",".join(artifacts.values())}]'
        trajectory = self.trajectory if trajectory is None else trajectory
        if isinstance(trajectory, Trajectory):
            if status == "completed" and self.reward is not None:
                trajectory.extra.setdefault("reward", self.reward)
            written = trajectory.to_json(LARGEST_ANSWER - len(text)) if len(trajectory) else ""
        else:
            written = write_json(trajectory)
        return (f'{text},"trajectory":{written}}}' if written else f"{text}}}").encode()


def end_setup(message: str) -> NoReturn:
    """Write why the container cannot start, and exit with a status by which no pool tries again."""
    print(message, file=sys.stderr)  # noqa: T201
    sys.exit(SETUP_STATUS)


def describe_setup(error: BaseException) -> str:
    """Write a traceback of the user's own lines, and the last of them in a sentence at the end."""
    if isinstance(error, SetupError):
        return f"The container cannot start. {error}"
    lines = "".join(traceback.format_exception(_without_ours(error)))
    where = f"{place}: " if (place := _place_of(error)) else ""
    # A pool has the last line alone.
    sentence = " ".join(_sentence(error).split())
    if isinstance(error, ModuleNotFoundError):
        sentence = f"{sentence.rstrip('.')}. Install it into the environment of {sys.executable}."
    return f"{lines}The container cannot start. {where}{sentence}"


def _place_of(error: BaseException) -> str | None:
    """Return the file and the line of the user's own code that an exception came through last."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}, line {error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    places = [frame for frame in frames if not _is_library(frame.filename)]
    return f"{places[-1].filename}, line {places[-1].lineno}" if places else None


def _is_library(file: str) -> bool:
    return file.startswith(_LIBRARIES) or "site-packages" in file


def _without_ours(error: BaseException) -> BaseException:
    """Drop the frames of this package from the top of a traceback."""
    rest = error.__traceback__
    while rest is not None and _is_library(rest.tb_frame.f_code.co_filename):
        rest = rest.tb_next
    # Code that cannot be read has its place with it.
    is_unread = rest is None and isinstance(error, SyntaxError)
    return error.with_traceback(None if is_unread else rest or error.__traceback__)


def _sentence(error: BaseException) -> str:
    lines = traceback.format_exception_only(error)
    if isinstance(error, SyntaxError):
        # Its place and its line of code come first.
        lines = [line for line in lines if not line.startswith(" ")]
    return "".join(lines).strip().removesuffix(":")
