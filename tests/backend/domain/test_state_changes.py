"""Lines of the log about changes of state."""

from __future__ import annotations

import dataclasses
import logging
import threading
from typing import Any

import pytest

from synth_pools.backend.domain.state_changes import PoolChange, RolloutChange, write_line


def of_rollout(status: str, **fields: Any) -> RolloutChange:
    required = [
        field.name
        for field in dataclasses.fields(RolloutChange)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    original: dict[str, Any] = dict.fromkeys(required)
    original |= {"rollout_id": "r", "pool_id": "p", "status": status, "trace": "null", **fields}
    return RolloutChange(**original)


@pytest.mark.parametrize(
    ("change", "level", "text", "fields"),
    [
        (PoolChange("p", "active"), "INFO", "pool active", {"pool_id": "p"}),
        (of_rollout("running"), "DEBUG", "rollout running", {"pool_id": "p", "rollout_id": "r"}),
        (
            of_rollout("failed", code="timeout", attempt=2, trace='"t"', run_seconds=0.0),
            "INFO",
            "rollout failed",
            {
                "pool_id": "p",
                "rollout_id": "r",
                "trace_correlation_id": "t",
                "attempt": 2,
                "code": "timeout",
                "run_seconds": 0.0,
            },
        ),
    ],
)
def test_a_line_has_what_is_known_and_nothing_else(
    caplog: pytest.LogCaptureFixture,
    change: PoolChange | RolloutChange,
    level: str,
    text: str,
    fields: dict[str, Any],
) -> None:
    caplog.set_level(logging.DEBUG, logger="synth_pools.backend.states")
    write_line(change, {"request_id": "req"})
    [record] = own_records(caplog)
    assert (record.levelname, record.getMessage()) == (level, text)
    assert vars(record)["fields"] == fields | {"request_id": "req"}
    # Steps are for who asks for them.
    caplog.clear()
    caplog.set_level(logging.INFO, logger="synth_pools.backend.states")
    write_line(change, {})
    levels = [record.levelname for record in own_records(caplog)]
    assert levels == ([] if level == "DEBUG" else [level])


def own_records(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """List the records of this thread: backends of other tests write into the same log."""
    return [record for record in caplog.records if record.thread == threading.get_ident()]
