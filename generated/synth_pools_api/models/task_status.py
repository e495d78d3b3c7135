from typing import Literal

TaskStatus = Literal["active", "archived"] | str

TASK_STATUS_VALUES: frozenset[str] = frozenset(["active", "archived"])


def check_task_status(value: str) -> TaskStatus:
    """Let any value through: TASK_STATUS_VALUES are those known when this was generated."""
    return value
