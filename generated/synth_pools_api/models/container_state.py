from typing import Literal

ContainerState = Literal["healthy", "starting", "stopped", "unhealthy"] | str

CONTAINER_STATE_VALUES: frozenset[str] = frozenset(["healthy", "starting", "stopped", "unhealthy"])


def check_container_state(value: str) -> ContainerState:
    """Let any value through: CONTAINER_STATE_VALUES are those known when this was generated."""
    return value
