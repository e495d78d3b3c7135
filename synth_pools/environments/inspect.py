"""Inspect: samples of a task as episodes, solved by a model and scored by the task's scorers."""

from __future__ import annotations

import asyncio
import glob
import os
import signal
import tempfile
from collections.abc import Coroutine, Mapping
from functools import lru_cache, partial
from math import isfinite
from pathlib import Path
from typing import Any

from inspect_ai import eval_async
from inspect_ai._eval import eval as evaluation
from inspect_ai._util import appdirs
from inspect_ai._util.error import PrerequisiteError
from inspect_ai.model import get_model
from inspect_ai.scorer import value_to_float
from inspect_ai.util import LimitExceededError
from inspect_ai.util._display import init_display_type

from synth_pools.container import Container, EpisodeError, Rollout, SetupError
from synth_pools.environments.adapter import Environment, with_task_ids
from synth_pools.environments.inspect_reports import PROVIDER, Reports
from synth_pools.environments.leftovers import open_folder
from synth_pools.environments.models import LIMITS, MODEL_READS, model_of

# Longest end of the sandbox of a cancelled sample.
_CLEANUP_SECONDS = 20.0
_WORDS = {"C", "I", "P", "N", "yes", "no", "true", "false"}
_READS = {
    "policy": MODEL_READS,
    "env": {"*": "arguments of the task; its samples are listed without any"},
    "params": {"score": "the score that is the reward, `scorer` or `scorer.key`; the first"},
    "limits": {"max_turns": "calls of models by the solver until the episode is stopped", **LIMITS},
}
_CANNOT = (
    "Several samples at a time in a process: a pool has a process for each place.",
    "Epochs: repeat the rollout. Other solvers and models of roles than the task's own.",
)


def adapt(name: str) -> Environment:
    """Return the environment of a task: `tasks.py@sums`, or one of an installed package."""
    # With `none`, too, each evaluation draws a table, which takes longer than most samples.
    init_display_type("log")
    file = name.partition("@")[0]
    if file.endswith(".py") and not Path(file).is_file():
        raise SetupError(f"There is no file {file}: the one with a task is named before @.")
    folder = open_folder("inspect")
    # XDG_DATA_HOME would move the images of podman, too.
    appdirs.user_data_path = appdirs.user_cache_path = lambda *_, **__: folder / "data"
    evaluate = partial(eval_async, name, log_realtime=False, ctl_server=False, epochs=1)
    is_free = asyncio.Lock()

    async def list_samples() -> dict[str, dict[str, Any]]:
        model = _model("none")
        try:
            logs = await evaluate(model=model, run_samples=False, log_dir=str(folder))
        except PrerequisiteError as error:
            raise SetupError(f"{name}: {error.message}") from None
        if len(logs) != 1:
            raise SetupError(f"{name}: write one of {[log.eval.task for log in logs]} behind @.")
        names = logs[0].eval.dataset.sample_ids or []
        ids = with_task_ids(names, names)
        return {task_id: {"sample_id": sample_id} for task_id, sample_id in ids.items()}

    async def play(rollout: Rollout) -> float | None:
        if (sample_id := rollout.task.get("sample_id")) is None:
            raise EpisodeError("The rollout names no task: `task_id` is the id of a sample.")
        async with is_free:
            Reports.begin(rollout)
            try:
                with tempfile.TemporaryDirectory(dir=folder) as log_folder:
                    log = await _ended(_evaluate(evaluate, sample_id, rollout, log_folder))
                    rollout.artifact("log.eval", Path(log.location), artifact_type="inspect_log")
                    Reports.add_results(rollout)
                    # Reading its samples would make all of the event loop slower (`nest_asyncio`).
                    return _judge(log, Reports.sample, rollout)
            finally:
                Reports.rollout = None
                # Set after some errors, and then all evaluations fail: the pool replaces this one.
                if evaluation._eval_async_running:  # noqa: SLF001
                    os.kill(os.getpid(), signal.SIGTERM)

    container = Container(f"inspect:{name}", tasks=list_samples)
    container.rollout(play)
    return Environment(container, _READS, "Passed on to the model, which may not heed it.", _CANNOT)


async def _ended(evaluating: Coroutine[Any, Any, Any]) -> Any:
    """Wait for an evaluation; end this process if it does not end when it is cancelled."""
    task = asyncio.create_task(evaluating)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.cancel()
        if not (await asyncio.wait({task}, timeout=_CLEANUP_SECONDS))[0]:
            os.kill(os.getpid(), signal.SIGTERM)
        raise


# A new one reads the certificates of all authorities.
@lru_cache(maxsize=16)
def _model(name: str) -> Any:
    url = "http://127.0.0.1:9/v1"
    model = get_model(f"{PROVIDER}{name}", memoize=False, base_url=url, api_key="none")
    model.api.handle_bad_request = partial(_refused, model.api.handle_bad_request)
    return model


def _refused(handle: Any, error: Any) -> Any:
    """Have a limit of the rollout be one of Inspect, which scores what there is."""
    if Reports.rollout is not None and Reports.rollout.refusal is not None:
        raise LimitExceededError("custom", value=1, limit=1, message=Reports.rollout.refusal)
    return handle(error)


async def _evaluate(evaluate: Any, sample_id: str | int, rollout: Rollout, log_folder: str) -> Any:
    policy = model_of(rollout.policy)
    model = _model(policy.name)
    url = rollout.open_model(tuple(LIMITS))
    model.api.base_url = model.api.client.base_url = url
    sampling = {"seed": rollout.seed, **policy.sampling}
    if stop := sampling.pop("stop", None):
        sampling["stop_seqs"] = [stop] if isinstance(stop, str) else stop
    remaining = rollout.remaining
    try:
        logs = await evaluate(
            model=model,
            log_dir=log_folder,
            task_args=rollout.env,
            # It is a pattern.
            sample_id=sample_id if isinstance(sample_id, int) else glob.escape(sample_id),
            # Whole seconds, and time to score it before its rollout is stopped.
            time_limit=int(remaining - 0.5) or None if remaining else None,
            # The client below it repeats a call twice.
            max_retries=0,
            **sampling,
        )
    except PrerequisiteError as error:
        raise EpisodeError(str(error.message)) from None
    if not logs:
        raise asyncio.CancelledError
    return logs[0]


def _judge(log: Any, sample: Any, rollout: Rollout) -> float | None:
    """Return the reward of a sample that was played to its end."""
    if sample is None or sample.error:
        error = sample.error if sample else log.error
        # That of the model is lost in that of its repetition.
        calls = [item.error for item in (sample.events if sample else ()) if item.event == "model"]
        text = f"The model failed: {calls[-1]}" if any(calls[-1:]) else error and error.message
        raise EpisodeError(text or "Inspect has played no such sample.")
    numbers: dict[str, float] = {}
    for name, score in (sample.scores or {}).items():
        parts = score.value if isinstance(score.value, Mapping) else {"": score.value}
        values = {f"{name}.{key}".removesuffix("."): _number(parts[key]) for key in parts}
        numbers |= {key: value for key, value in values.items() if value is not None}
    rollout.metrics |= numbers
    chosen = rollout.params.get("score") or next(iter(sample.scores or {}), "")
    rollout.reward = numbers.get(chosen)
    refusal = rollout.refusal
    if refusal is None and (limit := sample.limit) is not None:
        name = "max_turns" if limit.type == "turn" else f"the limit of {limit.type}"
        refusal = f"The episode was stopped: {name} is {limit.limit:g}."
    if refusal is not None:
        raise EpisodeError(refusal, "timeout")
    if chosen and rollout.reward is None:
        raise EpisodeError(f"{chosen} is no number: `params.score` is one of {list(numbers)}.")
    return rollout.reward


def _number(value: Any) -> float | None:
    # Inspect's own function takes what it does not understand for 0.
    is_word = isinstance(value, str) and (value in _WORDS or value.lower() in _WORDS)
    try:
        number: float = value_to_float()(value) if is_word else float(value)
    except (TypeError, ValueError):
        return None
    return number if isfinite(number) else None
