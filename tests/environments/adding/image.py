"""Server for an image, which speaks as much of OpenEnv's protocol as an episode needs."""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from typing import Any

from websockets.asyncio.server import ServerConnection, serve

_SCHEMA = {"action": {"type": "object", "properties": {"word": {"const": "go"}}}}


def answer(connection: ServerConnection, request: Any) -> Any:
    """Answer requests other than those of a WebSocket."""
    if request.path == "/ws":
        return None
    return connection.respond(HTTPStatus.OK, json.dumps(_SCHEMA))


async def play(connection: ServerConnection) -> None:
    steps = 0
    async for text in connection:
        kind = json.loads(text)["type"]
        steps += kind == "step"
        data = {"step_count": steps}
        if kind != "state":
            data = {"observation": data, "reward": float(steps), "done": steps == 2}
        await connection.send(json.dumps({"type": kind, "data": data}))


async def main() -> None:
    async with serve(play, "0.0.0.0", 8000, process_request=answer) as server:
        await server.serve_forever()


asyncio.run(main())
