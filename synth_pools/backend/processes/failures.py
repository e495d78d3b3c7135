"""Failures of processes, as people see them who look for the cause."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

NOT_HEALTHY = "process_not_healthy"
NOT_ALLOWED = "processes_not_allowed"


@dataclass(frozen=True, slots=True)
class ProcessFailure:
    """The reason for which a process is not up."""

    message: str
    # Of one that ended by itself; negative: the signal that ended it.
    exit_code: int | None = None
    # Its last lines.
    output: tuple[str, ...] = ()

    @property
    def pool_error(self) -> dict[str, Any]:
        details = {"output": list(self.output), "exit_code": self.exit_code}
        return {"code": NOT_HEALTHY, "message": self.message, "details": details}


def not_allowed() -> dict[str, Any]:
    """Build the error of a pool whose processes this run of the backend may not start."""
    return {
        "code": NOT_ALLOWED,
        "message": "The backend was started without --allow-processes.",
        "details": {},
    }
