"""The command: a server of the Model Context Protocol on standard input and output."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from synth_pools import AsyncContainerPoolsClient, __version__
from synth_pools.cli.access.connection import ServiceOptions, connection_options
from synth_pools.cli.agents.answers import READ_ON, Answers, error_text
from synth_pools.cli.agents.comparing import COMPARE, COMPARE_NEEDS, COMPARE_TOOL, compare_runs
from synth_pools.cli.agents.tools import OperationTool, offered_tools
from synth_pools.cli.failures import CommandError, ExitStatus, needing, reported_errors
from synth_pools.errors import NotFoundError, SynthPoolsError

if TYPE_CHECKING:
    from mcp.types import CallToolResult, Tool

_READ_SIZE = 65_536
_LARGEST_TEXT = 16 * 1024 * 1024
# Clients of the protocol wait for a minute, unless told otherwise, and then drop the answer.
_CALL_SECONDS = 50.0
_INSTRUCTIONS = (
    "The operations of a service that runs rollouts on pools of containers. Lists and events have "
    "pages: pass the next_cursor of one as cursor of the next, next_sequence as after_sequence. "
    "Follow a rollout by the pages of its events until it has ended."
)
_READ_ON_TOOL = {
    "name": READ_ON,
    "description": "Read the next part of a long answer, which says its answer_id and the offset.",
    "inputSchema": {
        "type": "object",
        "properties": {
            "answer_id": {"type": "string", "description": "The id of the answer."},
            "offset": {"type": "integer", "minimum": 0, "description": "The first character."},
        },
        "required": ["answer_id", "offset"],
        "additionalProperties": False,
    },
    "annotations": {"readOnlyHint": True},
}


@click.command()
@click.option("--read-only", is_flag=True, help="Offer only what changes nothing.")
@connection_options
def mcp(connection: ServiceOptions, read_only: bool) -> int:
    """Serve the operations of a service as tools of MCP, for coding agents.

    It has the tools that the service offers and the scopes of the key allow. Standard input and
    output are the protocol's; messages are on standard error. It ends with its standard input.

    \b
    Example:
      claude mcp add synth-pools -- synth-pools mcp --read-only
    """
    with needing("`synth-pools mcp`", "mcp"):
        import_module("mcp.server.stdio")
    # Nothing else may write to the protocol's stream: what is printed goes to standard error.
    sys.stdout.flush()
    output = os.dup(1)
    os.dup2(2, 1)
    with reported_errors():
        asyncio.run(_serve(connection, output, read_only=read_only))
    return ExitStatus.DONE


async def _serve(connection: ServiceOptions, output: int, *, read_only: bool) -> None:
    # Imported here: it takes a second, and other commands do not need it.
    from mcp.server.lowlevel import Server
    from mcp.server.stdio import stdio_server
    from mcp.types import CallToolRequestParams, ListToolsResult

    async with connection.async_client() as client:
        # Only the `items` of lists are of use.
        minimal = client.with_options(headers={"Prefer": "return=minimal"})
        seconds = connection.timeout or _CALL_SECONDS
        toolbox = Toolbox(minimal, connection.resolve().api_key, seconds)
        await toolbox.open(read_only=read_only)

        async def list_tools(*_: Any) -> ListToolsResult:
            return ListToolsResult(tools=toolbox.descriptions)

        async def call_tool(_: Any, request: CallToolRequestParams) -> CallToolResult:
            return await toolbox.call(request.name, request.arguments or {})

        server: Any = Server(
            "synth-pools",
            version=__version__,
            instructions=_INSTRUCTIONS,
            on_list_tools=list_tools,
            on_call_tool=call_tool,
        )
        streams: Any = ProtocolStreams(0, output)
        async with stdio_server(streams, streams) as (reader, writer):
            await server.run(reader, writer, server.create_initialization_options())


class Toolbox:
    """Tools of a service, and the long answers to them."""

    def __init__(self, client: AsyncContainerPoolsClient, secret: str, seconds: float) -> None:
        self._client, self._seconds = client, seconds
        self._tools: dict[str, OperationTool] = {}
        self._answers = Answers(secret)
        self._compares = False
        self.descriptions: list[Tool] = []

    async def open(self, *, read_only: bool) -> None:
        """Ask the service what it offers, and what the key may do.

        Raises:
            SynthPoolsError: It does not answer, or not to this key.
        """
        # Imported here, as above.
        from mcp.types import Tool

        try:
            capabilities: Mapping[str, Any] = await self._client.get_capabilities()
        except NotFoundError:
            # A service of before this operation has none of the optional ones.
            capabilities = {}
        for tool in offered_tools(capabilities):
            if tool.is_read_only or not read_only:
                self._tools[tool.name] = tool
        allowed = {name for tool in self._tools.values() for name, _ in tool.operations}
        self._compares = allowed >= COMPARE_NEEDS
        others = [COMPARE_TOOL, _READ_ON_TOOL] if self._compares else [_READ_ON_TOOL]
        listed = [*(tool.listed for tool in self._tools.values()), *others]
        self.descriptions = list(map(Tool.model_validate, listed))

    async def call(self, name: str, arguments: Mapping[str, Any]) -> CallToolResult:
        """Call a tool; return its answer, or its error as that of the tool."""
        # Imported here, as above.
        from mcp.types import CallToolResult, TextContent

        is_error = True
        try:
            async with asyncio.timeout(self._seconds):
                parts = await self._parts(name, arguments)
            is_error = False
        except TimeoutError:
            error = TimeoutError(f"there is no answer within the {self._seconds:g} s of a call")
            parts = self._answers.first_part(error_text(error))
        except (CommandError, SynthPoolsError, OSError, TypeError, ValueError) as error:
            parts = self._answers.first_part(error_text(error))
        content: Any = [TextContent(text=part) for part in parts]
        return CallToolResult(content=content, is_error=is_error)

    async def _parts(self, name: str, arguments: Mapping[str, Any]) -> list[str]:
        if name == READ_ON:
            return self._answers.part(arguments.get("answer_id"), arguments.get("offset"))
        if name == COMPARE and self._compares:
            text, warnings = await compare_runs(self._client, arguments)
            return [*self._answers.first_part(text), *warnings]
        tool = self._tools.get(name)
        if tool is None:
            raise ValueError(f"there is no tool {name[:100]!r}")
        warnings = []
        operation, parameters, body = tool.call(arguments, warnings.append)
        if tool.row.kind == "download":
            content = await self._download(operation, parameters)
        else:
            content = await self._client.operations.call(operation, parameters, body=body)
        try:
            return [*self._answers.first_part(content.decode()), *warnings]
        except UnicodeDecodeError:
            raise ValueError(
                f"these {len(content)} bytes are no text: `synth-pools {tool.row.group} "
                f"{tool.row.name}` saves them to a file"
            ) from None

    async def _download(self, operation: str, parameters: Mapping[str, Any]) -> bytes:
        with tempfile.TemporaryDirectory(prefix="synth-pools-") as folder:
            path = Path(folder) / "content"
            await self._client.operations.save(
                operation, parameters, path, on_progress=_within_limit
            )
            return path.read_bytes()


def _within_limit(received: int, total: int | None) -> None:
    if max(received, total or 0) > _LARGEST_TEXT:
        raise ValueError(
            f"more than {_LARGEST_TEXT // 1024 // 1024} MiB: save it by the command line"
        )


class ProtocolStreams:
    """Lines of standard input, and standard output, without threads.

    A thread that waits for a line could not be interrupted, and would outlive ^C.
    """

    def __init__(self, source: int, target: int) -> None:
        self._source, self._target = source, target
        self._has_reader = True

    async def __aiter__(self) -> AsyncIterator[str]:
        received = bytearray()
        while True:
            await _ready(self._source)
            chunk = os.read(self._source, _READ_SIZE)
            if not chunk or not self._has_reader:
                return
            received += chunk
            if b"\n" in chunk:
                *lines, received = received.split(b"\n")
                for line in lines:
                    yield _text(line)

    async def write(self, text: str) -> None:
        """Write a message; drop it if its reader has left, which soon ends the input, too."""
        content = memoryview(text.encode())
        while content and self._has_reader:
            await _ready(self._target, to_write=True)
            try:
                # A pipe that can be written takes this much at once: ^C finds no write that waits.
                content = content[os.write(self._target, content[: select.PIPE_BUF]) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                self._has_reader = False

    async def flush(self) -> None:
        """Do nothing: what is written is not buffered."""


def _text(line: bytes | bytearray) -> str:
    """Return a message without halves of surrogate pairs, which the package would not answer."""
    text = line.decode("utf-8", "replace")
    if "\\ud" in text.lower():
        with contextlib.suppress(ValueError, RecursionError):
            characters = json.dumps(json.loads(text), ensure_ascii=False)
            text = characters.encode("utf-8", "replace").decode()
    return text


async def _ready(number: int, *, to_write: bool = False) -> None:
    """Wait until a stream can be read or written; a file always can."""
    # Imported here, as above.
    from anyio import wait_readable, wait_writable

    with contextlib.suppress(PermissionError):
        await (wait_writable if to_write else wait_readable)(number)
