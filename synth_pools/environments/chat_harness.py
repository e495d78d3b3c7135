"""Harness of verifiers in this process: a conversation, with the tools of a task's MCP servers.

The harnesses of verifiers itself are programs that install what they need in each runtime.
"""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from typing import Any

import verifiers.v1 as vf
from openai import APIStatusError, AsyncOpenAI, DefaultAsyncHttpxClient, omit
from verifiers.v1.dialects.chat import message_to_wire
from verifiers.v1.harnesses.utils.mcp import call_mcp, connect_mcp

__all__ = ["ChatHarness", "ChatHarnessConfig"]


class ChatHarnessConfig(vf.HarnessConfig):  # type: ignore[misc]
    """Settings, which are those of every harness."""


class ChatHarness(vf.Harness[ChatHarnessConfig]):  # type: ignore[misc]
    """Conversation until an answer that calls no tools."""

    APPENDS_SYSTEM_PROMPT = True
    SUPPORTS_MCP = True
    SUPPORTS_RESUME = True
    EXECUTES_CODE = False
    NEEDS_CONTAINER = False

    async def launch(
        self,
        ctx: Any,
        trace: Any,
        runtime: Any,
        endpoint: str,
        secret: str,
        mcp_urls: dict[str, str],
        data: Any,
    ) -> Any:
        """Play a task; verifiers records the calls of the model at its `endpoint`."""
        del trace, runtime
        system, prompt = self.resolve_prompt(data)
        messages = [{"role": "system", "content": system}] if system else []
        if isinstance(prompt, str):
            messages.append({"role": "user", "content": prompt})
        else:
            messages += [message_to_wire(message) for message in prompt or ()]
        servers = {
            name: {"url": url, "timeout": self.config.tool_timeout}
            for name, url in mcp_urls.items()
        }
        # The time of the rollout is the limit of a call.
        # To read certificates, for a server in this process, costs more than the rest.
        http = DefaultAsyncHttpxClient(verify=endpoint.startswith("https:"), timeout=None)
        client = AsyncOpenAI(base_url=endpoint, api_key=secret, max_retries=0, http_client=http)
        try:
            async with client, AsyncExitStack() as stack:
                tools, *connected = await connect_mcp({"mcpServers": servers}, stack)
                request = {"model": ctx.model, "messages": messages, "tools": tools or omit}
                await _converse(client, request, *connected)
        except APIStatusError as error:
            # Also at a limit, where verifiers refuses the next call, and expects this.
            return vf.ProgramResult(exit_code=1, stdout="", stderr=str(error))
        return vf.ProgramResult(exit_code=0, stdout="", stderr="")


async def _converse(
    client: AsyncOpenAI, request: dict[str, Any], places: dict[str, Any], servers: dict[str, Any]
) -> None:
    messages = request["messages"]
    while True:
        completion = await client.chat.completions.create(**request)
        message = completion.choices[0].message
        messages.append(message.model_dump(exclude_none=True))
        if not message.tool_calls:
            return
        for call in message.tool_calls:
            content = await _call(servers, places, call.function)
            answer = {"role": "tool", "tool_call_id": call.id, "content": content}
            messages.append(answer)


async def _call(servers: dict[str, Any], places: dict[str, Any], function: Any) -> Any:
    """Call a tool; what is wrong with the call is an answer for the model."""
    if function.name not in places:
        return f"error: there is no tool {function.name!r}"
    try:
        arguments = json.loads(function.arguments or "{}")
    except ValueError as error:
        return f"error: the arguments are no JSON: {error}"
    if not isinstance(arguments, dict):
        return "error: the arguments are no JSON object"
    return await call_mcp(servers, places, function.name, arguments)
