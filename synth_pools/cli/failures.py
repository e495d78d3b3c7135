"""Failures of commands: one line on standard error, and an exit status for each kind."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from enum import IntEnum
from pathlib import Path
from typing import Any

import click


class ExitStatus(IntEnum):
    """Exit statuses of the commands that call a service.

    The help of `serve` and of the contract commands lists theirs.
    """

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    # An alias: a run whose pool is not there has started nothing, either.
    BUDGET_REACHED = 3
    NOT_ALLOWED = 4
    UNREACHABLE = 5
    INTERRUPTED = 130
    BROKEN_PIPE = 141


EXIT_STATUSES: dict[ExitStatus, str] = {
    ExitStatus.DONE: "done",
    ExitStatus.FAILED: "rollouts failed, or the service refused: its state forbids it",
    ExitStatus.USAGE: "wrong usage: an option, a file or a body cannot be used",
    ExitStatus.NOT_FOUND: "no such pool, task, rollout or artifact; or a run reached its budget",
    ExitStatus.NOT_ALLOWED: "no key, a wrong key, or one that may not do this",
    ExitStatus.UNREACHABLE: "the service cannot be reached, is too busy, or broke down",
    ExitStatus.INTERRUPTED: "interrupted by ^C",
    ExitStatus.BROKEN_PIPE: "the reader of the output has left, as `head` does",
}

# Exit status of the contract kit for an error of its own, which says nothing about what it judged.
INTERNAL_ERROR = 3
_FRAMES = 3


class CommandError(click.ClickException):
    """Failure that is printed on one line, which says what to do."""

    def __init__(self, message: str, status: ExitStatus = ExitStatus.USAGE) -> None:
        super().__init__(message)
        # Click declares it on the class, and reads it from the instance.
        self.exit_code = int(status)  # type: ignore[misc]


class KitCommand(click.Command):
    """Command of the contract kit: an exception that nothing foresaw never reads as a verdict."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as error:
            raise _internal_error(error) from error


def _internal_error(error: Exception) -> CommandError:
    """Name the type and the place of an error; its message could show a key."""
    # Imported here: it takes milliseconds, and nothing else needs it.
    import traceback

    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    places = " < ".join(f"{Path(at.filename).name}:{at.lineno}" for at in reversed(frames))
    failure = CommandError(
        f"an error of synth-pools itself, and no verdict: {type(error).__name__} at {places}; "
        "please report this line"
    )
    failure.exit_code = INTERNAL_ERROR  # type: ignore[misc]
    return failure


@contextlib.contextmanager
def needing(user: str, extra: str) -> Iterator[None]:
    """Turn the failed import of a package of an extra into a `CommandError`."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise CommandError(
            f"{user} needs {error.name}, which the base install leaves out: "
            f"pip install 'synth-pools[{extra}]'"
        ) from error


@contextlib.contextmanager
def reported_errors() -> Iterator[None]:
    """Turn errors of the client and of files into a `CommandError`."""
    # Imported here: it loads the HTTP library, which only some commands need.
    from synth_pools.errors import SynthPoolsError

    try:
        yield
    except SynthPoolsError as error:
        raise CommandError(message_of(error), status_of(error)) from error
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        place = f"{error.filename}: " if error.filename else ""
        raise CommandError(f"{place}{error.strerror or error}") from error


def message_of(error: Exception) -> str:
    """Return the message of an error with its notes, such as that an earlier attempt did it."""
    return "; ".join([str(error), *getattr(error, "__notes__", ())])


def status_of(error: Exception) -> ExitStatus:
    """Return the exit status for an error of the client."""
    # Imported here for the same reason.
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
        (errors.ComparisonError, ExitStatus.USAGE),
    )
    for kind, status in kinds:
        if isinstance(error, kind):
            return status
    # 413 and 415 have no class of their own; 409 is about the state of the object.
    of_request = getattr(error, "status_code", None) in (413, 415)
    return ExitStatus.USAGE if of_request else ExitStatus.FAILED


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Suggest a name for an unknown one; return the end of a message, or an empty text."""
    nearest = nearest_name(name, names)
    return f"; did you mean {nearest}?" if nearest else ""


def nearest_name(name: str, names: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the most similar name; None if none is as similar as the cutoff says."""
    # Imported here: it takes 3 ms, and only a mistyped name needs it.
    from difflib import get_close_matches

    return next(iter(get_close_matches(name, list(names), 1, cutoff)), None)
