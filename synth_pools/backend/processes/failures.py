"""Failures of processes, as people see them who look for the cause."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from synth_pools.backend.domain.errors import ApiError

NOT_HEALTHY = "process_not_healthy"
IMAGE = "image_unavailable"


@dataclass(frozen=True, slots=True)
class ProcessFailure:
    """The reason for which a process is not up."""

    message: str
    # Of one that ended by itself; negative: the signal that ended it.
    exit_code: int | None = None
    # Its last lines.
    output: tuple[str, ...] = ()
    code: str = NOT_HEALTHY
    # Whether another try would end in the same way.
    is_final: bool = False

    @property
    def pool_error(self) -> dict[str, Any]:
        details = {"output": list(self.output), "exit_code": self.exit_code}
        return {"code": self.code, "message": self.message, "details": details}


def refusal_of(error: ApiError) -> dict[str, Any]:
    """Build the error of a pool whose containers this run of the backend may not start."""
    return {"code": error.code, "message": error.message, "details": {}}
