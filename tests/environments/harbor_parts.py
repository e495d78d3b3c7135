"""Sandbox of Harbor without an engine, and an agent that asks a model for one command.

The sandbox is a folder of the trial: the paths of a container are rewritten in what is run there.
"""

# ruff: noqa: ASYNC240 - small files

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import tempfile
from pathlib import Path
from typing import Any

from harbor.agents.base import BaseAgent
from harbor.agents.installed.base import BaseInstalledAgent
from harbor.environments.base import BaseEnvironment, ExecResult
from harbor.models.trajectories import Agent, Observation, ObservationResult, Step, Trajectory
from openai import AsyncOpenAI, BadRequestError

_PLACES = re.compile(r"(?<![\w./])/(logs|tests|solution|app|installed-agent)(?=[/\s'\"]|$)")
_FOLDERS = ("app", "logs/agent", "logs/verifier", "logs/artifacts", "tests", "solution")


class LocalEnvironment(BaseEnvironment):  # type: ignore[misc]
    @staticmethod
    def type() -> str:
        return "local"

    def _validate_definition(self) -> None:
        pass

    @property
    def root(self) -> Path:
        return Path(self.trial_paths.trial_dir.resolve()) / "root"

    def place(self, path: Any) -> Path:
        return self.root / str(path).lstrip("/")

    def rewritten(self, text: str) -> str:
        return _PLACES.sub(lambda match: f"{self.root}/{match[1]}", text)

    async def start(self, force_build: bool) -> None:
        del force_build
        for folder in _FOLDERS:
            self.place(folder).mkdir(parents=True, exist_ok=True)
        # The path of a socket is short.
        self._tmux = tempfile.mkdtemp(prefix="tmux-")

    async def stop(self, delete: bool) -> None:
        if any(Path(self._tmux).iterdir()):
            await self.exec("tmux kill-server", cwd="/")
        shutil.rmtree(self._tmux, ignore_errors=True)
        if delete:
            shutil.rmtree(self.root, ignore_errors=True)

    async def upload_file(self, source_path: Any, target_path: Any) -> None:
        target = self.place(target_path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(self.rewritten(Path(source_path).read_text()))
        shutil.copymode(source_path, target)

    async def upload_dir(self, source_dir: Any, target_dir: Any) -> None:
        for file in Path(source_dir).rglob("*"):
            if file.is_file():
                await self.upload_file(file, f"{target_dir}/{file.relative_to(source_dir)}")

    async def download_file(self, source_path: Any, target_path: Any) -> None:
        shutil.copy(self.place(source_path), target_path)

    async def download_dir(self, source_dir: Any, target_dir: Any) -> None:
        shutil.copytree(self.place(source_dir), target_dir, dirs_exist_ok=True)

    async def exec(
        self,
        command: str,
        cwd: Any = None,
        env: Any = None,
        timeout_sec: float | None = None,
        user: Any = None,
    ) -> Any:
        del user
        process = await asyncio.create_subprocess_exec(
            *("bash", "-c", self.rewritten(command)),
            cwd=self.place(cwd or "/app"),
            env={**os.environ, "TMUX_TMPDIR": self._tmux, **(self._merge_env(env) or {})},
            stdout=-1,
            stderr=-1,
            start_new_session=True,
        )
        try:
            output, errors = await asyncio.wait_for(process.communicate(), timeout_sec)
        except BaseException:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
            raise
        return ExecResult(
            stdout=output.decode(), stderr=errors.decode(), return_code=process.returncode
        )


class OneCommand(BaseAgent):  # type: ignore[misc]
    def __init__(
        self,
        *args: Any,
        base_url: str = "",
        model_api_key_name: str = "",
        calls: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.base_url, self.key, self.calls = base_url, os.environ[model_api_key_name], calls

    @staticmethod
    def name() -> str:
        return "one-command"

    def version(self) -> str:
        return "1"

    async def setup(self, environment: Any) -> None:
        pass

    async def run(self, instruction: str, environment: Any, context: Any) -> None:
        async with AsyncOpenAI(base_url=self.base_url, api_key=self.key, max_retries=0) as client:
            for number in range(self.calls):
                try:
                    answer = await client.chat.completions.create(
                        model=str(self.model_name).removeprefix("openai/"),
                        messages=[{"role": "user", "content": instruction}],
                    )
                except BadRequestError:
                    if not number:
                        raise
        usage = answer.usage
        context.n_input_tokens, context.n_output_tokens = (
            usage.prompt_tokens,
            usage.completion_tokens,
        )
        context.n_cache_tokens = usage.prompt_tokens_details.cached_tokens
        text = answer.choices[0].message.content or ""
        (self.logs_dir / "answer.txt").write_text(text)
        observed = Observation(results=[ObservationResult(content="written")])
        steps = [Step(step_id=1, source="agent", message=text, observation=observed)]
        recorded = Trajectory(agent=Agent(name="one", version="1"), steps=steps)
        (self.logs_dir / "trajectory.json").write_text(json.dumps(recorded.to_json_dict()))
        await environment.exec(text)


class InstalledCommand(OneCommand, BaseInstalledAgent):  # type: ignore[misc]
    """The same, as an agent that is installed in the sandbox: Harbor tells it by its class."""

    async def install(self, environment: Any) -> None:
        pass

    def populate_context_post_run(self, context: Any) -> None:
        pass
