"""The fuzz test in its short form; `make fuzz` is the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.system.fuzz.__main__ import attack, report


@pytest.mark.timeout(400)
def test_bad_input_breaks_nothing(tmp_path: Path) -> None:
    for seconds in (15, 90):
        folder = tmp_path / str(seconds)
        folder.mkdir()
        result = attack(folder, seconds)
        assert not result.wrong, result.wrong
        # On a busy machine little is sent in a short time.
        if min(result.statuses.total(), result.raw.total()) >= 10:
            break
    assert result.is_good, "\n".join(report(result))
    # Both kinds of attackers came to something.
    assert result.statuses.total() >= 10
    assert result.raw.total() >= 10
