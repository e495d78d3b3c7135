"""Failures of commands: one line on standard error, and the exit status that tells their kind."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from enum import IntEnum

import click


class ExitStatus(IntEnum):
    """Exit statuses of the commands that speak with a service.

    Those of `serve` and of the contract commands are told by their own help.
    """

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    NOT_ALLOWED = 4
    UNREACHABLE = 5
    INTERRUPTED = 130


EXIT_STATUSES: dict[ExitStatus, str] = {
    ExitStatus.DONE: "done",
    ExitStatus.FAILED: "rollouts failed, or the service refused: its state forbids it",
    ExitStatus.USAGE: "wrong usage: an option, a file or a body cannot be used",
    ExitStatus.NOT_FOUND: "there is no such pool, task, rollout or artifact",
    ExitStatus.NOT_ALLOWED: "no key, a wrong key, or one that may not do this",
    ExitStatus.UNREACHABLE: "the service cannot be reached, is too busy, or broke down",
    ExitStatus.INTERRUPTED: "interrupted by ^C",
}


class CommandError(click.ClickException):
    """Failure that is told in one line.

    Args:
        message: What went wrong and what to do.
        status: The exit status.
    """

    def __init__(self, message: str, status: ExitStatus = ExitStatus.USAGE) -> None:
        super().__init__(message)
        # Click has it on the class, and reads it from the error.
        self.exit_code = int(status)  # type: ignore[misc]


@contextlib.contextmanager
def told_errors() -> Iterator[None]:
    """Turn what the client raises, and failures of files, into a `CommandError`."""
    # Here, since they bring the HTTP library along: only commands that use it come here.
    from synth_pools.errors import SynthPoolsError

    try:
        yield
    except SynthPoolsError as error:
        raise CommandError(str(error), status_of(error)) from error
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        place = f"{error.filename}: " if error.filename else ""
        raise CommandError(f"{place}{error.strerror or error}") from error


def status_of(error: Exception) -> ExitStatus:
    """Return the exit status for what the client raised."""
    # As above.
    from synth_pools import errors

    kinds: tuple[tuple[type[Exception], ExitStatus], ...] = (
        (errors.NotFoundError, ExitStatus.NOT_FOUND),
        (errors.AuthenticationError, ExitStatus.NOT_ALLOWED),
        (errors.PermissionDeniedError, ExitStatus.NOT_ALLOWED),
        (errors.BadRequestError, ExitStatus.USAGE),
        (errors.ValidationFailedError, ExitStatus.USAGE),
        (errors.RateLimitError, ExitStatus.UNREACHABLE),
        (errors.ServerError, ExitStatus.UNREACHABLE),
        (errors.APIConnectionError, ExitStatus.UNREACHABLE),
        (errors.WaitTimeoutError, ExitStatus.UNREACHABLE),
        (errors.DecodeError, ExitStatus.UNREACHABLE),
        (errors.ConfigurationError, ExitStatus.USAGE),
        (errors.RequestValidationError, ExitStatus.USAGE),
        (errors.JournalError, ExitStatus.USAGE),
    )
    for kind, status in kinds:
        if isinstance(error, kind):
            return status
    # 413 and 415 are of no class of their own; 409 is the state of things.
    of_request = getattr(error, "status_code", None) in (413, 415)
    return ExitStatus.USAGE if of_request else ExitStatus.FAILED
