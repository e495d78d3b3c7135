"""The page of the self-test: the next run can read it."""

from __future__ import annotations

from pathlib import Path

from tests.contract.selftest.runs import BY_NAME, Caught
from tests.contract.selftest.table import read_checks, write_tables

_ONE, _OTHER, _LOST = list(BY_NAME.values())[:3]


def test_the_checks_that_caught_a_fault_are_read_from_the_page(tmp_path: Path) -> None:
    caught = [
        (_ONE, Caught(_ONE.name, 1, ("races.pool", "schema.status"), (), 1, 0.0, "")),
        (_OTHER, Caught(_OTHER.name, 1, ("a.b", "c.d", "e.f", "g.h"), (), 1, 0.0, "")),
        (_LOST, Caught(_LOST.name, 0, (), (), 0, 0.0, "")),
    ]
    page = tmp_path / "page.md"
    page.write_text("".join(write_tables(caught, [], [], "quick", "full")))
    assert read_checks(page) == {
        _ONE.name: ("races.pool", "schema.status"),
        _OTHER.name: ("a.b", "c.d", "e.f"),
        _LOST.name: (),
    }


def test_before_there_is_a_page_nothing_is_known(tmp_path: Path) -> None:
    assert read_checks(tmp_path / "page.md") == {}
