"""Results that a journal has, without the client that wrote it."""

from __future__ import annotations

from pathlib import Path

import pytest

from synth_pools import NotRepeatedError
from synth_pools._client.fleet.journal import AdmissionRecord, OutcomeRecord, Run
from synth_pools._client.fleet.journal_errors import to_json
from synth_pools._client.fleet.journal_file import JournalFile
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


def ending(index: int) -> OutcomeRecord:
    rollout = {"rollout_id": f"rollout_{index}", "status": "completed", "text": "x" * 1000}
    return OutcomeRecord(index, 0, f"sha {index}", rollout, None)


def test_a_run_goes_on_while_its_journal_is_read(tmp_path: Path) -> None:
    journal = tmp_path / "run.jsonl"
    opened = JournalFile(journal, "pool", "http://127.0.0.1:1/v1", segment_bytes=40_000)
    opened.append(*(ending(index) for index in range(20)))
    results = iter_journal(journal)
    read = [next(results)]
    # Compacted now: the places that were read are those of other lines, or of none.
    opened.append(*(ending(index) for index in range(20, 50)))
    assert opened.run.segments == 1
    read += results
    opened.close()
    assert [result.row["rollout_id"] for result in read] == [f"rollout_{i}" for i in range(20)]


@pytest.mark.parametrize("segment_bytes", [100_000, 1])
def test_where_a_stopped_request_is_does_not_depend_on_a_compaction(
    tmp_path: Path, segment_bytes: int
) -> None:
    journal = tmp_path / "run.jsonl"
    opened = JournalFile(journal, "pool", "http://127.0.0.1:1/v1", segment_bytes=segment_bytes)

    def statuses() -> list[tuple[str, bool]]:
        opened.append(ending(9))
        return [(result.row["status"], result.has_ended) for result in iter_journal(journal)][:-1]

    opened.append(*(AdmissionRecord(index, 0, "s", f"rollout_{index}") for index in range(2)))
    assert statuses() == [("running", False)] * 2
    # The budget stopped one, the other has lost its service, which may go on with it.
    cancelled = {"rollout_id": "rollout_0", "status": "cancelled"}
    opened.append(OutcomeRecord(0, 0, "s", cancelled, None, final=False))
    opened.append(OutcomeRecord(1, 0, "s", None, to_json(ValueError()), final=False))
    assert statuses() == [("cancelled", False), ("running", False)]
    opened.append(AdmissionRecord(0, 1, "s", "rollout_2"))
    assert statuses() == [("running", False)] * 2
    opened.close()
