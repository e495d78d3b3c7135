from typing import Literal, cast

ListRolloutsDirection = Literal["asc", "desc"]

LIST_ROLLOUTS_DIRECTION_VALUES: frozenset[str] = frozenset(["asc", "desc"])


def check_list_rollouts_direction(value: str) -> ListRolloutsDirection:
    """Refuse a value that is not one of LIST_ROLLOUTS_DIRECTION_VALUES."""
    if value not in LIST_ROLLOUTS_DIRECTION_VALUES:
        raise ValueError(
            f"{value!r} is not one of {', '.join(sorted(LIST_ROLLOUTS_DIRECTION_VALUES))}"
        )
    return cast(ListRolloutsDirection, value)
