"""Numbers of the recorder and of a snapshot, one by one."""

from __future__ import annotations

from synth_pools.backend.metrics.recorder import MetricsRecorder
from synth_pools.backend.metrics.snapshot import PoolLoad


def test_transactions_that_failed_are_counted() -> None:
    recorder = MetricsRecorder()
    recorder.committed(3, 0.001, failed=False)
    recorder.committed(1, 0.001, failed=True)
    assert recorder.failed_transactions == 1


def test_loads_of_pools_add_up() -> None:
    assert PoolLoad(1, 20, 300) + PoolLoad(4, 50, 600) == PoolLoad(5, 70, 900)
