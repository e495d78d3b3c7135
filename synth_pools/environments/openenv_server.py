"""Server of OpenEnv: at a URL, or of a folder or an image, which is started and ended here."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections import deque
from pathlib import Path
from typing import Any

import httpx

from synth_pools.container import EpisodeError, SetupError
from synth_pools.container.serving import listen
from synth_pools.environments.leftovers import ENGINES, open_folder

_HTTP_SECONDS = 30.0
_END_SECONDS = 10.0
_POLL_SECONDS = 0.1
_IMAGE = "docker://"
# The port of the images that `openenv build` makes.
_IMAGE_PORT = 8000
# Both end with this process, however this one ends.
_SERVE_FOLDER = """
import os, signal, socket, sys, threading, time, uvicorn
def end():
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(3)
    os._exit(1)
threading.Thread(target=end, daemon=True).start()
config = uvicorn.Config(sys.argv[1], log_level="warning", timeout_keep_alive=60)
server = uvicorn.Server(config)
server.run(sockets=[socket.socket(fileno=int(sys.argv[2]))])
sys.exit(not server.started)
"""
_SERVE_IMAGE = """
import os, subprocess, sys, threading
engine, name, *words = sys.argv[1:]
ending = threading.Event()
def end():
    os.read(0, 1)
    ending.set()
    process.kill()
    # The program of an image may heed no other signal.
    for command in (["kill", name], ["rm", "--force", name]):
        subprocess.run([engine, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os._exit(1)
command = [engine, "run", "--rm", "--name", name, *words]
process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
thread = threading.Thread(target=end, daemon=True)
thread.start()
status = process.wait()
if ending.is_set():
    thread.join()
sys.exit(status)
"""


class OpenEnvServer:
    """Server of OpenEnv.

    Args:
        name: Its URL, a folder, or an image behind `docker://`.

    Attributes:
        url: The address.
        action_schema: The JSON schema of an action; where actions are calls of tools, that of
            the calls.
        is_started_here: False if it is a server at a URL.
    """

    def __init__(self, name: str) -> None:
        self.url = name.rstrip("/")
        self.action_schema: dict[str, Any] = {}
        self._name = name
        self.is_started_here = "://" not in name or name.startswith(_IMAGE)
        self._process: asyncio.subprocess.Process | None = None
        self._output: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()

    def __str__(self) -> str:
        return f"The server {self._name}"

    async def open(self) -> None:
        """Start the server, unless it is one at a URL, and read its schema.

        Raises:
            SetupError: The server cannot be started, or is another service.
        """
        self._starting = asyncio.Lock()
        await self._open()

    async def _open(self) -> None:
        if "://" not in self._name:
            await self._start(*_folder_command(self._name))
        elif self._name.startswith(_IMAGE):
            await self._start(*_image_command(self._name.removeprefix(_IMAGE)))
        try:
            async with httpx.AsyncClient(timeout=_HTTP_SECONDS) as http:
                schema = await _json(http.get(f"{self.url}/schema"))
                self.action_schema = dict(schema["action"])
                kind = self.action_schema.get("properties", {}).get("type", {})
                if kind.get("const") == "call_tool":
                    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
                    answer = await _json(http.post(f"{self.url}/mcp", json=call))
                    self.action_schema = _schema_of_calls(answer["result"]["tools"])
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise SetupError(f"{self} does not answer as one of OpenEnv: {error!r}") from None
        except (ValueError, KeyError, TypeError):
            raise SetupError(
                f"{self} is no server of OpenEnv: it has neither an action nor tools."
            ) from None

    async def ensure(self) -> None:
        """Start it again, if its program has ended.

        Raises:
            EpisodeError: It does not start.
        """
        async with self._starting:
            is_running = self._process is not None and self._process.returncode is None
            # Without a program after a start that failed, unless it is a server at a URL.
            if not is_running and self.is_started_here:
                await self._start_again()

    async def replace(self, url: str) -> None:
        """Start another program in place of that at an address, unless that was done.

        Raises:
            EpisodeError: It does not start.
        """
        async with self._starting:
            if self.url == url:
                await self._start_again()

    async def _start_again(self) -> None:
        try:
            await self.close()
            await self._open()
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

    async def _start(self, command: list[str], folder: Path) -> None:
        with listen("127.0.0.1", 0, {}) as listener:
            port, number = listener.getsockname()[1], listener.fileno()
            # A server of ours takes over the socket, since its port could be lost meanwhile; an
            # engine opens the port itself.
            is_passed = "{socket}" in command
            if not is_passed:
                listener.close()
            process = await asyncio.create_subprocess_exec(
                *(
                    word.replace("{port}", str(port)).replace("{socket}", str(number))
                    for word in command
                ),
                cwd=folder,
                stdin=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                # An interrupt of a terminal lets rollouts end first.
                start_new_session=True,
                pass_fds=[number] if is_passed else [],
            )
        lines: deque[str] = deque(maxlen=20)
        self._process, self._output = process, asyncio.create_task(_read(process, lines))
        self.url = f"http://127.0.0.1:{port}"
        try:
            # Until it answers anything or ends; the pool limits the time.
            async with httpx.AsyncClient(timeout=_HTTP_SECONDS) as http:
                while process.returncode is None:
                    with contextlib.suppress(httpx.HTTPError):
                        await http.get(f"{self.url}/health")
                        return
                    await asyncio.sleep(_POLL_SECONDS)
            reason = next((line for line in reversed(lines) if line.strip()), "no output")
            raise SetupError(f"{self} ended with status {process.returncode}: {reason.strip()}")
        except BaseException:
            await self.close()
            raise


def _schema_of_calls(tools: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the schema of actions that call one of these tools."""
    calls: list[dict[str, Any]] = []
    definitions: dict[str, Any] = {}
    for tool in tools:
        schema = tool.get("inputSchema") or tool.get("input_schema") or {"type": "object"}
        arguments: dict[str, Any] = dict(schema)
        definitions.update(arguments.pop("$defs", {}))
        name = {"const": tool["name"], "description": tool.get("description") or ""}
        fields = {"type": {"const": "call_tool"}, "tool_name": name, "arguments": arguments}
        calls.append({"type": "object", "properties": fields})
    if not calls:
        raise ValueError("no tools")
    return {"required": ["tool_name", "arguments"], "oneOf": calls, "$defs": definitions}


async def _json(answering: Any) -> Any:
    answer: httpx.Response = await answering
    return answer.raise_for_status().json()


async def _read(process: asyncio.subprocess.Process, lines: deque[str]) -> None:
    """Pass on what it writes of errors, and remember the last lines."""
    if process.stderr is None:
        return
    while text := await process.stderr.read(65536):
        part = text.decode(errors="replace")
        lines.extend(part.splitlines())
        sys.stderr.write(part)
        sys.stderr.flush()


def _folder_command(name: str) -> tuple[list[str], Path]:
    """Return the command that serves a folder made by `openenv init`, and where to run it.

    Raises:
        SetupError: There is no such folder, or OpenEnv is not installed for it.
    """
    folder = Path(name).resolve()
    manifest = folder / "openenv.yaml"
    if not manifest.is_file():
        raise SetupError(
            f"There is no {manifest}: name a folder made by `openenv init`, the URL of a server, "
            f"or an image as {_IMAGE}NAME."
        )
    # Its value is a word: no parser of YAML is needed.
    app = re.search(r"^app:\s*['\"]?([\w.:]+)", manifest.read_text(), re.MULTILINE)
    python = folder / ".venv" / "bin" / "python"
    if not python.exists():
        if importlib.util.find_spec("openenv") is None:
            raise SetupError(
                f"OpenEnv is not installed for {folder}: run `uv sync` there, or "
                "`synth-pools env install openenv openenv-core`, with what it needs besides."
            )
        python = Path(sys.executable)
    words = [app[1] if app else "server.app:app", "{socket}"]
    return [str(python), "-c", _SERVE_FOLDER, *words], folder


def _image_command(image: str) -> tuple[list[str], Path]:
    """Return the command that runs an image by an engine of this machine, and where to run it.

    Raises:
        SetupError: No engine works here.
    """
    for engine in filter(shutil.which, ENGINES):
        if subprocess.run([engine, "info"], capture_output=True, check=False).returncode == 0:  # noqa: S603
            folder = open_folder("openenv")
            publish = ["--publish", f"127.0.0.1:{{port}}:{_IMAGE_PORT}"]
            words = [engine, folder.name, *publish, "--", image]
            return [sys.executable, "-c", _SERVE_IMAGE, *words], folder
    raise SetupError(f"An image needs one of {', '.join(ENGINES)}, and none works here.")
