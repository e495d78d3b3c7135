"""Taskset that cannot be imported."""

# mypy: ignore-errors

import missing_words

__all__ = ["missing_words"]
