from typing import Literal, cast

RolloutMode = Literal["async", "sync"]

ROLLOUT_MODE_VALUES: frozenset[str] = frozenset(["async", "sync"])


def check_rollout_mode(value: str) -> RolloutMode:
    """Refuse a value that is not one of ROLLOUT_MODE_VALUES."""
    if value not in ROLLOUT_MODE_VALUES:
        raise ValueError(f"{value!r} is not one of {', '.join(sorted(ROLLOUT_MODE_VALUES))}")
    return cast(RolloutMode, value)
