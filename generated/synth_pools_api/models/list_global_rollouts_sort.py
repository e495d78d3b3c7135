from typing import Literal, cast

ListGlobalRolloutsSort = Literal["cost", "created", "duration", "reward"]

LIST_GLOBAL_ROLLOUTS_SORT_VALUES: frozenset[str] = frozenset(
    ["cost", "created", "duration", "reward"]
)


def check_list_global_rollouts_sort(value: str) -> ListGlobalRolloutsSort:
    """Refuse a value that is not one of LIST_GLOBAL_ROLLOUTS_SORT_VALUES."""
    if value not in LIST_GLOBAL_ROLLOUTS_SORT_VALUES:
        raise ValueError(
            f"{value!r} is not one of {', '.join(sorted(LIST_GLOBAL_ROLLOUTS_SORT_VALUES))}"
        )
    return cast(ListGlobalRolloutsSort, value)
