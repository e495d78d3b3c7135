"""Failures of processes, as the API reports them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from synth_pools.backend.domain.errors import ApiError

NOT_HEALTHY = "process_not_healthy"
IMAGE = "image_unavailable"


@dataclass(frozen=True, slots=True)
class ProcessFailure:
    """Reason for a missing process."""

    message: str
    # Of a process that ended without our doing; negative for a signal.
    exit_code: int | None = None
    # The last lines of its output.
    output: tuple[str, ...] = ()
    code: str = NOT_HEALTHY
    # True where another try would end in the same way.
    is_final: bool = False

    @property
    def pool_error(self) -> dict[str, Any]:
        details = {"output": list(self.output), "exit_code": self.exit_code}
        return {"code": self.code, "message": self.message, "details": details}


def refusal_of(error: ApiError) -> dict[str, Any]:
    """Build the error of a pool with containers that this backend may not start."""
    return {"code": error.code, "message": error.message, "details": {}}
