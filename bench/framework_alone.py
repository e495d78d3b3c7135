"""Episodes of a framework by itself, in a Python that has it: the calls that its users write.

python bench/framework_alone.py KIND COUNT URL_OF_MODELS

With a count of 0, counts come on the standard input, a line each, and are answered when played.
"""

# ruff: noqa: ASYNC220, ASYNC240, ASYNC251 - nothing else is to be done meanwhile

from __future__ import annotations

import asyncio
import functools
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).resolve().parents[1] / "tests" / "environments"
_AT_ONCE = {"verifiers": 16, "harbor": 8}


def gymnasium(counts: Iterable[int], _: str) -> None:
    """Play random actions of the seeds from 0 on."""
    import gymnasium as framework

    env = framework.make("CartPole-v1")
    for seed in (seed for count in counts for seed in range(count)):
        env.action_space.seed(seed)
        env.reset(seed=seed)
        is_over = False
        while not is_over:
            _, _, terminated, truncated, _ = env.step(env.action_space.sample())
            is_over = terminated or truncated


async def inspect(counts: Iterable[int], url: str) -> None:
    """Evaluate one sample at a time, as a queue has to."""
    from inspect_ai import eval_async
    from inspect_ai.model import get_model
    from inspect_ai.util._display import init_display_type

    init_display_type("none")
    model = get_model("openai-api/pool/say:4", base_url=url, api_key="none", memoize=False)
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            for _ in range(count):
                task = str(_FOLDER / "sums/tasks.py@sums")
                options: dict[str, Any] = {"log_realtime": False, "ctl_server": False}
                await eval_async(task, model=model, sample_id=2, log_dir=folder, **options)


async def verifiers(counts: Iterable[int], url: str) -> None:
    """Run episodes of a task with the harness that needs no installation."""
    sys.path[:0] = [str(_FOLDER / "guesses"), str(Path(__file__).resolve().parents[1])]
    import verifiers.v1 as vf

    from synth_pools.environments import chat_harness

    sys.modules["synth_pools_chat"] = chat_harness
    agent = {"harness": {"id": "synth_pools_chat"}, "runtime": {"type": "subprocess"}}
    config = vf.resolve_env_config({"taskset": {"id": "guesses"}, "agent": agent})
    env = vf.load_environment(config)
    task = list(env.taskset)[2]
    client = vf.EvalClientConfig(base_url=url, api_key_var="NO_KEY")
    context = vf.ModelContext(client=client, model="say:2", sampling=vf.SamplingConfig())
    async with env.serving():
        await _together("verifiers", counts, lambda: env.run_episode(task, context))


async def openenv(counts: Iterable[int], _: str) -> None:
    """Play an episode after the other at a server of its own."""
    from websockets.asyncio.client import connect

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    words = ["-m", "uvicorn", "server.app:app", "--port", str(port), "--log-level", "warning"]
    with subprocess.Popen([sys.executable, *words], cwd=_FOLDER / "guessing") as server:
        while not _answers(f"http://127.0.0.1:{port}/health"):
            time.sleep(0.1)
        messages: list[dict[str, Any]] = [{"type": "reset", "data": {"seed": 7}}]
        messages += [{"type": "step", "data": {"number": number}} for number in (9, 5, 7)]
        for _number in (number for count in counts for number in range(count)):
            async with connect(f"ws://127.0.0.1:{port}/ws") as connection:
                for message in messages:
                    await connection.send(json.dumps(message))
                    await connection.recv()
        server.terminate()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False


async def harbor(counts: Iterable[int], _: str) -> None:
    """Run trials of a task in a folder of this machine, solved by the oracle."""
    os.environ |= {"HARBOR_TELEMETRY": "0", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    sys.path.insert(0, str(_FOLDER))
    from harbor.models.trial.config import AgentConfig, EnvironmentConfig, TaskConfig, TrialConfig
    from harbor.trial.trial import Trial

    async def run(folder: str) -> None:
        trial = await Trial.create(
            TrialConfig(
                task=TaskConfig(path=_FOLDER / "tasks/hello"),
                trials_dir=Path(folder),
                agent=AgentConfig(name="oracle"),
                environment=EnvironmentConfig(import_path="harbor_parts:LocalEnvironment"),
            )
        )
        await trial.run()

    for count in counts:
        # A pool leaves no files of an episode, either.
        with tempfile.TemporaryDirectory() as folder:
            await _together("harbor", [count], functools.partial(run, folder))


async def _together(kind: str, counts: Iterable[int], run: Any) -> None:
    places = asyncio.Semaphore(_AT_ONCE[kind])

    async def one() -> None:
        async with places:
            await run()

    for count in counts:
        await asyncio.gather(*(one() for _ in range(count)))


def counts_of(number: int) -> Iterator[int]:
    """Yield the number, or if it is 0 the lines of the standard input, answered when played."""
    if number:
        yield number
        return
    for line in sys.stdin:
        yield int(line)
        print("played", flush=True)


if __name__ == "__main__":
    playing = globals()[sys.argv[1]](counts_of(int(sys.argv[2])), sys.argv[3])
    if playing is not None:
        asyncio.run(playing)
