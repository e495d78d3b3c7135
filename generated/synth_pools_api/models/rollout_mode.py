from typing import Literal

RolloutMode = Literal["async", "sync"] | str

ROLLOUT_MODE_VALUES: frozenset[str] = frozenset(["async", "sync"])


def check_rollout_mode(value: str) -> RolloutMode:
    """Let any value through: ROLLOUT_MODE_VALUES are those known when this was generated."""
    return value
