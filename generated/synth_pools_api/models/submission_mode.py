from typing import Literal

SubmissionMode = Literal["async", "sync"] | str

SUBMISSION_MODE_VALUES: frozenset[str] = frozenset(["async", "sync"])


def check_submission_mode(value: str) -> SubmissionMode:
    """Let any value through: SUBMISSION_MODE_VALUES are those known when this was generated."""
    return value
