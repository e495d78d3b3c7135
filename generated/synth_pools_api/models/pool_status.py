from typing import Literal

PoolStatus = (
    Literal["active", "archived", "building", "created", "failed", "paused", "uploading", "warming"]
    | str
)

POOL_STATUS_VALUES: frozenset[str] = frozenset(
    ["active", "archived", "building", "created", "failed", "paused", "uploading", "warming"]
)


def check_pool_status(value: str) -> PoolStatus:
    """Let any value through: POOL_STATUS_VALUES are those known when this was generated."""
    return value
