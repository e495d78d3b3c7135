from typing import Literal, cast

SubmissionMode = Literal["async", "sync"]

SUBMISSION_MODE_VALUES: frozenset[str] = frozenset(["async", "sync"])


def check_submission_mode(value: str) -> SubmissionMode:
    """Refuse a value that is not one of SUBMISSION_MODE_VALUES."""
    if value not in SUBMISSION_MODE_VALUES:
        raise ValueError(f"{value!r} is not one of {', '.join(sorted(SUBMISSION_MODE_VALUES))}")
    return cast(SubmissionMode, value)
