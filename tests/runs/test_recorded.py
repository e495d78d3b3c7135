"""Results that a journal has, without the client that wrote it."""

from __future__ import annotations

from pathlib import Path

import pytest

from synth_pools import NotRepeatedError
from synth_pools._client.fleet.journal import OutcomeRecord, Run
from synth_pools._client.fleet.journal_errors import to_json
from synth_pools.runs.recorded import iter_journal


@pytest.mark.parametrize("error", [TypeError("no number"), ValueError(""), NotRepeatedError("no")])
def test_an_error_has_the_name_and_the_text_that_it_was_raised_with(
    tmp_path: Path, error: Exception
) -> None:
    journal = tmp_path / "journal.jsonl"
    run = Run("1", "pool", "http://127.0.0.1:1/v1")
    journal.write_bytes(run.encode() + OutcomeRecord(0, 0, "0", None, to_json(error)).encode())
    [result] = iter_journal(journal)
    assert (result.row["failure"], result.row["message"]) == (type(error).__name__, str(error))
