"""Messages of trajectories, for tests of what is said in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from synth_pools.trajectories.conversations import conversations
from synth_pools.trajectories.messages import step_messages


def chat_messages(trajectory: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the messages of the last conversation of a trajectory."""
    return [message for step in conversations(trajectory)[-1] for message in step_messages(step)]
