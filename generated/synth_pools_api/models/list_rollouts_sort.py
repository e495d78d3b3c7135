from typing import Literal, cast

ListRolloutsSort = Literal["cost", "created", "duration", "reward"]

LIST_ROLLOUTS_SORT_VALUES: frozenset[str] = frozenset(["cost", "created", "duration", "reward"])


def check_list_rollouts_sort(value: str) -> ListRolloutsSort:
    """Refuse a value that is not one of LIST_ROLLOUTS_SORT_VALUES."""
    if value not in LIST_ROLLOUTS_SORT_VALUES:
        raise ValueError(f"{value!r} is not one of {', '.join(sorted(LIST_ROLLOUTS_SORT_VALUES))}")
    return cast(ListRolloutsSort, value)
