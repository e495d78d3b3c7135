from typing import Literal

RolloutErrorCode = (
    Literal[
        "backend_restarted",
        "container_bad_response",
        "container_failed",
        "container_http_error",
        "container_timeout",
        "container_unreachable",
        "internal_error",
        "task_deleted",
    ]
    | str
)

ROLLOUT_ERROR_CODE_VALUES: frozenset[str] = frozenset(
    [
        "backend_restarted",
        "container_bad_response",
        "container_failed",
        "container_http_error",
        "container_timeout",
        "container_unreachable",
        "internal_error",
        "task_deleted",
    ]
)


def check_rollout_error_code(value: str) -> RolloutErrorCode:
    """Let any value through: ROLLOUT_ERROR_CODE_VALUES are those known when this was generated."""
    return value
