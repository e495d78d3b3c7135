"""Server of OpenEnv: at a URL, or of a folder or an image, which is started and ended here."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections import deque
from pathlib import Path
from typing import Any

import httpx

from synth_pools.container import EpisodeError, SetupError
from synth_pools.container.serving import listen
from synth_pools.environments.openenv_commands import IMAGE, folder_command, image_command

_HTTP_SECONDS = 30.0
_END_SECONDS = 10.0
_POLL_SECONDS = 0.1


class OpenEnvServer:
    """Server of OpenEnv.

    Args:
        name: Its URL, a folder, or an image behind `docker://`.

    Attributes:
        url: The address.
        action_schema: The JSON schema of an action; where actions are calls of tools, that of
            the calls.
    """

    def __init__(self, name: str) -> None:
        self.url = name.rstrip("/")
        self.action_schema: dict[str, Any] = {}
        self._name = name
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
        if "://" not in self._name:
            await self._start(*folder_command(self._name))
        elif self._name.startswith(IMAGE):
            await self._start(*image_command(self._name.removeprefix(IMAGE)))
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
