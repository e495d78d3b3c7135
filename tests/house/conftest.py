"""Release of what the tests of the tree have parsed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.house.tree import forget

HOUSE = Path(__file__).parent


def pytest_runtest_teardown(nextitem: pytest.Item | None) -> None:
    """Let nothing of the trees burden the garbage collector of the tests that follow these."""
    if nextitem is None or HOUSE not in nextitem.path.parents:
        forget()
