"""Arguments of what lasts, checked before anything is sent."""

from __future__ import annotations

from synth_pools.errors import RequestValidationError


def check_limit(value: float | None, name: str) -> float | None:
    """A time limit in seconds, or None for none.

    Raises:
        RequestValidationError: It is neither.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RequestValidationError(
            f"{name} must be a number of seconds or None, not {type(value).__name__}"
        )
    # Written so that NaN is refused too.
    if not 0 < value <= 1e9:
        raise RequestValidationError(f"{name} must be a positive number of seconds, or None")
    return float(value)


def check_callback(value: object, name: str) -> None:
    """Refuse what cannot be called; None stands for no callback."""
    if value is not None and not callable(value):
        raise RequestValidationError(f"{name} must be callable, not {type(value).__name__}")


def check_flag(value: object, name: str) -> None:
    """Refuse what is neither True nor False."""
    if not isinstance(value, bool):
        raise RequestValidationError(f"{name} must be True or False, not {type(value).__name__}")


def check_count(value: int, name: str, *, least: int, most: int) -> int:
    """A whole number within bounds.

    Raises:
        RequestValidationError: It is none, or out of them.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise RequestValidationError(f"{name} must be an integer, not {type(value).__name__}")
    if not least <= value <= most:
        raise RequestValidationError(f"{name} must be {least} to {most}")
    return value


def check_choice(value: str, name: str, choices: tuple[str, ...]) -> str:
    """One of some words.

    Raises:
        RequestValidationError: It is none of them.
    """
    if not isinstance(value, str) or value not in choices:
        allowed = " or ".join(repr(choice) for choice in choices)
        raise RequestValidationError(f"{name} must be {allowed}")
    return value
