from typing import Literal

RolloutStatus = Literal["cancelled", "completed", "failed", "queued", "running"] | str

ROLLOUT_STATUS_VALUES: frozenset[str] = frozenset(
    ["cancelled", "completed", "failed", "queued", "running"]
)


def check_rollout_status(value: str) -> RolloutStatus:
    """Let any value through: ROLLOUT_STATUS_VALUES are those known when this was generated."""
    return value
