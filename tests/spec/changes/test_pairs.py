"""Clear pairs: the kinds that the comparison names, and the sides that break."""

from __future__ import annotations

from pathlib import Path

import pytest

from synth_pools.spec.changes.comparison import compare_documents
from synth_pools.spec.changes.verdicts import VERDICTS, Level
from tests.spec.changes.pairs import Pair, read_pairs, written

PAIRS = read_pairs()


@pytest.mark.parametrize("pair", PAIRS, ids=[pair.name for pair in PAIRS])
def test_a_clear_pair_is_judged_rightly(tmp_path: Path, pair: Pair) -> None:
    old, new = written(tmp_path, pair)
    changes = compare_documents(old, new)
    assert sorted({change.kind for change in changes}) == pair.kinds
    assert {side for change in changes for side in change.verdict.hurts} == pair.breaks
    assert any(change.level is Level.BREAKING for change in changes) == bool(pair.breaks)
    assert compare_documents(new, new) == ()


def test_there_is_a_pair_for_every_kind(tmp_path: Path) -> None:
    kinds = {kind for pair in PAIRS for kind in pair.kinds}
    for pair in PAIRS:
        old, new = written(tmp_path, pair)
        kinds |= {change.kind for change in compare_documents(new, old)}
    assert set(VERDICTS) <= kinds
    assert len(PAIRS) >= 100
