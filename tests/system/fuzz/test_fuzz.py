"""The fuzz test in its short form; `make fuzz` is the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.system.fuzz.__main__ import attack, report


@pytest.mark.timeout(400)
def test_bad_input_breaks_nothing(tmp_path: Path) -> None:
    result = attack(tmp_path, seconds=15)
    assert result.is_good, "\n".join(report(result))
    # Both kinds of attackers came to something.
    assert result.statuses.total() >= 10
    assert result.raw.total() >= 10
