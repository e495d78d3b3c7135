"""Server of OpenEnv whose actions are calls of tools: an episode ends when a sum is 7."""

from __future__ import annotations

from typing import Any

from fastmcp import FastMCP
from openenv.core.env_server.http_server import create_app
from openenv.core.env_server.mcp_environment import MCPEnvironment
from openenv.core.env_server.mcp_types import CallToolAction, CallToolObservation
from openenv.core.env_server.types import Observation, State


class Adding(MCPEnvironment):  # type: ignore[misc]
    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(self) -> None:
        tools = FastMCP("adding")

        @tools.tool
        def add(x: int, y: int) -> int:
            """Add two numbers."""
            return x + y

        super().__init__(tools)
        self._state = State()

    def reset(
        self, seed: int | None = None, episode_id: str | None = None, **_: Any
    ) -> Observation:
        self._state = State(episode_id=episode_id, step_count=0)
        return Observation()

    async def step_async(self, action: Any, **more: Any) -> Any:
        self._state.step_count += 1
        answer = await super().step_async(action, **more)
        answer.done = "7" in str(answer.result)
        answer.reward = 1.0 if answer.done else -0.25
        return answer

    def _step_impl(self, action: Any, **_: Any) -> Observation:
        raise NotImplementedError

    @property
    def state(self) -> State:
        return self._state


app = create_app(
    Adding, CallToolAction, CallToolObservation, env_name="adding", max_concurrent_envs=3
)
