"""Faults of a backend, which a proxy puts between the kit and a running one."""

from __future__ import annotations

from tests.contract.faults import (
    access_wrong,
    answers_wrong,
    changes_wrong,
    data_wrong,
    later_wrong,
    lists_wrong,
    streams_wrong,
    subtle_wrong,
)
from tests.contract.faults.fault import Fault

__all__ = ["FAULTS", "Fault"]

FAULTS: tuple[Fault, ...] = (
    *answers_wrong.FAULTS,
    *access_wrong.FAULTS,
    *lists_wrong.FAULTS,
    *data_wrong.FAULTS,
    *changes_wrong.FAULTS,
    *streams_wrong.FAULTS,
    *subtle_wrong.FAULTS,
    *later_wrong.FAULTS,
)
