"""All faults of a backend, planted by a proxy or by a rule that its code does not keep."""

from __future__ import annotations

from tests.contract.faults import (
    access_wrong,
    answers_wrong,
    changes_wrong,
    compared_wrong,
    contradictions_wrong,
    data_wrong,
    details_wrong,
    edges_wrong,
    kept_wrong,
    later_wrong,
    lists_wrong,
    organisations_wrong,
    outages_wrong,
    overlooked_wrong,
    queries_wrong,
    readings_wrong,
    settings_wrong,
    streams_wrong,
    subtle_wrong,
    sums_wrong,
    unfinished_wrong,
)
from tests.contract.faults.fault import Fault
from tests.contract.second_backend.rules import RULES

__all__ = ["FAULTS", "RULE", "Fault"]

# Kind of the faults in the code of the second backend, which need no proxy.
RULE = "rule not kept"

FAULTS: tuple[Fault, ...] = (
    *answers_wrong.FAULTS,
    *access_wrong.FAULTS,
    *organisations_wrong.FAULTS,
    *lists_wrong.FAULTS,
    *data_wrong.FAULTS,
    *changes_wrong.FAULTS,
    *streams_wrong.FAULTS,
    *subtle_wrong.FAULTS,
    *later_wrong.FAULTS,
    *details_wrong.FAULTS,
    *settings_wrong.FAULTS,
    *outages_wrong.FAULTS,
    *overlooked_wrong.FAULTS,
    *contradictions_wrong.FAULTS,
    *readings_wrong.FAULTS,
    *queries_wrong.FAULTS,
    *sums_wrong.FAULTS,
    *compared_wrong.FAULTS,
    *edges_wrong.FAULTS,
    *kept_wrong.FAULTS,
    *unfinished_wrong.FAULTS,
    *(Fault(rule, RULE, operations, (), backend="second") for rule, operations in RULES.items()),
)
