from typing import Literal, cast

ListGlobalRolloutsDirection = Literal["asc", "desc"]

LIST_GLOBAL_ROLLOUTS_DIRECTION_VALUES: frozenset[str] = frozenset(["asc", "desc"])


def check_list_global_rollouts_direction(value: str) -> ListGlobalRolloutsDirection:
    """Refuse a value that is not one of LIST_GLOBAL_ROLLOUTS_DIRECTION_VALUES."""
    if value not in LIST_GLOBAL_ROLLOUTS_DIRECTION_VALUES:
        raise ValueError(
            f"{value!r} is not one of {', '.join(sorted(LIST_GLOBAL_ROLLOUTS_DIRECTION_VALUES))}"
        )
    return cast(ListGlobalRolloutsDirection, value)
