from typing import Literal, cast

PoolTarget = Literal["arbitrary", "harbor", "horizons", "horizons_private", "openenv"]

POOL_TARGET_VALUES: frozenset[str] = frozenset(
    ["arbitrary", "harbor", "horizons", "horizons_private", "openenv"]
)


def check_pool_target(value: str) -> PoolTarget:
    """Refuse a value that is not one of POOL_TARGET_VALUES."""
    if value not in POOL_TARGET_VALUES:
        raise ValueError(f"{value!r} is not one of {', '.join(sorted(POOL_TARGET_VALUES))}")
    return cast(PoolTarget, value)
