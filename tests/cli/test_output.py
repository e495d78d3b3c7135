"""Layout of what commands write, on a terminal and elsewhere."""

from __future__ import annotations

import io
import sys

import click
import pytest

from synth_pools.cli import output

ROWS = [["a", "active"], ["b" * 30, "failed"]]


class Terminal(io.StringIO):
    """Output that is a terminal."""

    def isatty(self) -> bool:
        return True


def test_without_a_terminal_a_line_is_as_long_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setattr(sys, "__stdout__", io.StringIO())
    assert output.width() == 80
    assert output.grid(["A", "B"], [["x" * 100, "1"]]).splitlines() == [
        f"A{' ' * 99}  B",
        f"{'x' * 100}  1",
    ]
    assert output.fields({"name": "y" * 100}) == f"name  {'y' * 100}\n"
    assert output.cell("z" * 100) == "z" * 100


def test_however_narrow_a_terminal_is_something_of_a_value_is_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "5")
    assert output.fields({"name": "y" * 100}) == f"name  {'y' * 17}...\n"
    assert output.fields({}) == ""
    assert output.fields(["a"]) == '["a"]\n'


def test_on_a_terminal_values_are_cut_or_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")
    assert output.fields({"name": "y" * 100}) == f"name  {'y' * 31}...\n"
    text = output.fields({"error": {"message": "the GPU of the node has no memory left"}})
    assert text.splitlines() == [
        'error  {"message": "the GPU of the node',
        '       has no memory left"}',
    ]
    counts = {"queued": 0, "running": 0, "completed": 27, "failed": 3}
    assert output.fields({"rollouts": counts}).splitlines() == [
        'rollouts  {"queued": 0, "running": 0,',
        '          "completed": 27, "failed": 3}',
    ]
    long = output.fields({"request": {"words": ["word"] * 100}}).splitlines()
    assert len(long) == 5
    assert long[-1].endswith("...")
    assert output.grid(["A"], [["x" * 100]]).splitlines()[1] == f"{'x' * 39}…"


def test_on_a_terminal_the_head_is_bold_and_states_have_their_colours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("COLUMNS", "20")
    head, first, second = output.grid(["NAME", "STATE"], ROWS).splitlines()
    assert head == click.style(click.unstyle(head), bold=True)
    assert click.unstyle(head) == f"NAME{' ' * 15}…"
    assert click.unstyle(second) == f"{'b' * 19}…"
    assert first == click.unstyle(first)
    monkeypatch.setenv("COLUMNS", "80")
    _, first, second = output.grid(["NAME", "STATE"], ROWS).splitlines()
    assert first.endswith(click.style("active", fg="green"))
    assert second == f"{'b' * 30}  {click.style('failed', fg='red')}"
