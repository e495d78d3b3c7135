"""Task that cannot be imported."""

# mypy: ignore-errors

import missing_words
from inspect_ai import Task, task


@task
def words() -> Task:
    """Return a task of a module that is not there."""
    return Task(dataset=missing_words.samples())
