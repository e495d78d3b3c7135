from typing import Literal

PoolTarget = Literal["arbitrary", "harbor", "horizons", "horizons_private", "openenv"] | str

POOL_TARGET_VALUES: frozenset[str] = frozenset(
    ["arbitrary", "harbor", "horizons", "horizons_private", "openenv"]
)


def check_pool_target(value: str) -> PoolTarget:
    """Let any value through: POOL_TARGET_VALUES are those known when this was generated."""
    return value
