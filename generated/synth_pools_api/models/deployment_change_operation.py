from typing import Literal, cast

DeploymentChangeOperation = Literal["create", "delete", "update"]

DEPLOYMENT_CHANGE_OPERATION_VALUES: frozenset[str] = frozenset(["create", "delete", "update"])


def check_deployment_change_operation(value: str) -> DeploymentChangeOperation:
    """Refuse a value that is not one of DEPLOYMENT_CHANGE_OPERATION_VALUES."""
    if value not in DEPLOYMENT_CHANGE_OPERATION_VALUES:
        raise ValueError(
            f"{value!r} is not one of {', '.join(sorted(DEPLOYMENT_CHANGE_OPERATION_VALUES))}"
        )
    return cast(DeploymentChangeOperation, value)
