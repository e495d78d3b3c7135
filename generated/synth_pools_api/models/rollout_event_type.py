from typing import Literal

RolloutEventType = (
    Literal[
        "agent",
        "heartbeat",
        "reward",
        "rollout.cancelled",
        "rollout.completed",
        "rollout.failed",
        "rollout.queued",
        "rollout.started",
        "verifier",
    ]
    | str
)

ROLLOUT_EVENT_TYPE_VALUES: frozenset[str] = frozenset(
    [
        "agent",
        "heartbeat",
        "reward",
        "rollout.cancelled",
        "rollout.completed",
        "rollout.failed",
        "rollout.queued",
        "rollout.started",
        "verifier",
    ]
)


def check_rollout_event_type(value: str) -> RolloutEventType:
    """Let any value through: ROLLOUT_EVENT_TYPE_VALUES are those known when this was generated."""
    return value
