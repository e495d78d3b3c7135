"""Literals of synth_pools.types, compared with the enumerations of the document."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from synth_pools import PoolTarget, types
from tests.support.document import SCHEMAS

LITERALS = {
    "PoolTarget": types.PoolTargetName,
    "PoolStatus": types.PoolState,
    "TaskStatus": types.TaskState,
    "RolloutStatus": types.RolloutState,
    "RolloutMode": types.RolloutMode,
    "RolloutEventType": types.RolloutEventType,
    "ContainerState": types.ContainerState,
    "SubmissionMode": types.SubmissionMode,
    "ProcessLauncher": types.ProcessLauncher,
    "ImageLauncher": types.ImageLauncher,
    "ImageNetwork": types.ImageNetwork,
    "ErrorCode": types.ErrorCode,
    "RolloutErrorCode": types.RolloutErrorCode,
}


def values(schema: dict[str, Any]) -> list[str]:
    """List the enumerated values of a schema, closed or open."""
    if "enum" in schema:
        return [value for value in schema["enum"] if value is not None]
    return [value for part in schema.get("anyOf", ()) for value in values(part)]


@pytest.mark.parametrize("schema", LITERALS)
def test_a_literal_has_the_values_of_its_schema(schema: str) -> None:
    assert sorted(get_args(LITERALS[schema])) == sorted(values(SCHEMAS[schema]))


def test_every_enumeration_of_the_document_has_a_literal() -> None:
    assert {name for name, schema in SCHEMAS.items() if values(schema)} == LITERALS.keys()


def test_the_members_of_the_enumeration_are_its_names() -> None:
    assert [member.value for member in PoolTarget] == list(get_args(types.PoolTargetName))
