"""Server of OpenEnv: at a URL, or in a folder, whose program is started and ended here."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import re
import socket
import sys
from collections import deque
from pathlib import Path
from typing import Any

import httpx

from synth_pools.container import EpisodeError, SetupError

_HTTP_SECONDS = 30.0
_END_SECONDS = 5.0
_POLL_SECONDS = 0.1
# It ends with this process, however this one ends.
_PROGRAM = """
import os, signal, sys, threading, time, uvicorn
def end():
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(3)
    os._exit(1)
threading.Thread(target=end, daemon=True).start()
uvicorn.run(sys.argv[1], host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")
"""


class OpenEnvServer:
    """Server of OpenEnv.

    Args:
        name: Its URL, or a folder.

    Attributes:
        url: The address.
        action_schema: The JSON schema of an action.
    """

    def __init__(self, name: str) -> None:
        self._folder = None if "://" in name else Path(name).resolve()
        self.url = name.rstrip("/")
        self.action_schema: dict[str, Any] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._output: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()

    def __str__(self) -> str:
        return f"The server {self.url if self._folder is None else self._folder.name}"

    async def open(self) -> None:
        """Start the server, if it is one of a folder, and read its schema.

        Raises:
            SetupError: The server cannot be started, or is another service.
        """
        self._starting = asyncio.Lock()
        if self._folder is not None:
            await self._start(self._folder)
        try:
            async with httpx.AsyncClient(timeout=_HTTP_SECONDS) as http:
                answer = await http.get(f"{self.url}/schema")
                self.action_schema = dict(answer.raise_for_status().json()["action"])
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise SetupError(f"{self} does not answer as one of OpenEnv: {error!r}") from None
        except (ValueError, KeyError, TypeError):
            raise SetupError(f"{self} is no server of OpenEnv: /schema has no action.") from None

    async def ensure(self) -> None:
        """Start it again, if its program has ended.

        Raises:
            EpisodeError: It does not start.
        """
        async with self._starting:
            if self._process is None or self._process.returncode is None:
                return
            try:
                await self.close()
                await self.open()
            except SetupError as error:
                raise EpisodeError(str(error)) from None

    async def close(self) -> None:
        """End its program, if it was started here."""
        if self._process is None or self._output is None or self._process.stdin is None:
            return
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), _END_SECONDS)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        self._output.cancel()
        self._process = None

    async def _start(self, folder: Path) -> None:
        manifest = folder / "openenv.yaml"
        if not manifest.is_file():
            raise SetupError(f"There is no {manifest}: name a folder made by `openenv init`.")
        # Its value is a word: no parser of YAML is needed.
        app = re.search(r"^app:\s*['\"]?([\w.:]+)", manifest.read_text(), re.MULTILINE)
        python = folder / ".venv" / "bin" / "python"
        if not python.exists():
            if importlib.util.find_spec("openenv") is None:
                raise SetupError(
                    f"OpenEnv is not installed for {folder}: run `uv sync` there, or "
                    f"`pip install openenv` into the environment of {sys.executable}."
                )
            python = Path(sys.executable)
        port = _free_port()
        process = await asyncio.create_subprocess_exec(
            *(python, "-c", _PROGRAM, app[1] if app else "server.app:app", str(port)),
            cwd=folder,
            stdin=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            # An interrupt of a terminal lets rollouts end first.
            start_new_session=True,
        )
        lines: deque[str] = deque(maxlen=20)
        self._process, self._output = process, asyncio.create_task(_read(process, lines))
        self.url = f"http://127.0.0.1:{port}"
        try:
            await self._wait(process)
        except BaseException:
            await self.close()
            raise
        if process.returncode is not None:
            await self.close()
            reason = next((line for line in reversed(lines) if line.strip()), "no output")
            raise SetupError(f"{self} ended with status {process.returncode}: {reason.strip()}")

    async def _wait(self, process: asyncio.subprocess.Process) -> None:
        """Wait until it answers anything or ends; the pool limits the time."""
        async with httpx.AsyncClient(timeout=_HTTP_SECONDS) as http:
            while process.returncode is None:
                with contextlib.suppress(httpx.HTTPError):
                    await http.get(f"{self.url}/health")
                    return
                await asyncio.sleep(_POLL_SECONDS)


async def _read(process: asyncio.subprocess.Process, lines: deque[str]) -> None:
    """Pass on what it writes of errors, and remember the last lines."""
    if process.stderr is None:
        return
    while text := await process.stderr.read(65536):
        part = text.decode(errors="replace")
        lines.extend(part.splitlines())
        sys.stderr.write(part)
        sys.stderr.flush()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
