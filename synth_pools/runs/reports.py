"""Comparisons as Markdown and HTML."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from synth_pools._client.fleet.table import html_table
from synth_pools.runs.comparison import Comparison, Difference, Pair, RunFigures
from synth_pools.runs.scores import Case

_RUN_HEADS = ("RUN", "ROLLOUTS", "FAILED", "MEAN", "SECONDS", "TOKENS", "COST IN $")
_RATE_HEADS = ("RUN", "K", "PASS@K", "PASS^K")
_CASE_HEADS = ("TASK", "SEED")
_PAIR_HEADS = (*_CASE_HEADS, "BEFORE", "AFTER", "CHANGE")
_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;"
    "color-scheme:light dark}table{border-collapse:collapse;margin:1rem 0}"
    "th,td{text-align:right;padding:.2rem .8rem;border-bottom:1px solid #8886}"
    "th:first-child,td:first-child{text-align:left}"
)
_MARKUP = re.compile(r"[\\|<\[`*]")


def figure(value: float | None) -> str:
    """Write a number with at most four digits; `-` for None."""
    return "-" if value is None else f"{value:.4g}"


def signed(value: float) -> str:
    """Write a number with its sign."""
    return f"{value:+.4g}"


def run_cells(run: RunFigures) -> list[str]:
    """Return the cells of the row of a run."""
    tokens = [run.usage[name] for name in ("input_tokens", "output_tokens") if name in run.usage]
    return [
        run.name,
        str(run.rollouts),
        str(run.failed),
        figure(run.mean),
        figure(run.mean_seconds),
        f"{sum(tokens):.0f}" if tokens else "-",
        cost_cell(run.usage),
    ]


def cost_cell(usage: Mapping[str, float]) -> str:
    """Write dollars, and how many of them are estimated from prices of tokens."""
    cost, estimated = usage.get("cost_usd"), usage.get("estimated_cost_usd")
    if not cost or not estimated:
        return figure(cost)
    part = "" if estimated >= cost else f"{figure(estimated)} "
    return f"{figure(cost)} ({part}estimated)"


def pair_cells(pair: Pair) -> list[str]:
    """Return the cells of the row of a pair."""
    numbers = [figure(pair.before), figure(pair.after), signed(pair.difference)]
    return [pair.task_id or "-", pair.seed, *numbers]


def case_cells(case: Case) -> list[str]:
    """Return the cells of the row of a case."""
    return [case.task_id or "-", case.seed]


def sentences(comparison: Comparison, difference: Difference) -> Iterator[str]:
    """Write in sentences how a later run differs from the first one."""
    first = comparison.runs[0].name
    share = f"{comparison.confidence * 100:g} %"
    interval = difference.interval
    if interval is None:
        bounds = f"one {difference.unit} gives no interval"
    else:
        bounds = f"{share} interval {signed(interval.low)} to {signed(interval.high)}"
    yield f"{difference.name} against {first}: {signed(difference.mean)} ({bounds})."
    numbers = {"better": difference.better, "worse": difference.worse}
    counts = ", ".join(f"{len(pairs)} {name}" for name, pairs in numbers.items())
    yield (
        f"Of {difference.pairs} pairs {counts}, {difference.equal} equal; the sign test over "
        f"{difference.units} {difference.unit}s gives p = {difference.sign_p:.2g}."
    )
    if others := [f"{len(cases)} {name}" for name, cases in _unpaired(difference) if cases]:
        yield f"{', '.join(others)}.".capitalize()
        of = f"{comparison.common} cases that count in all runs"
        yield f"The means and pass rates above are of the {of}."
    failed = sum(run.failed for run in comparison.runs)
    if failed:
        counted = "count as 0" if comparison.failures == "zero" else "are left out"
        yield f"Rollouts that failed or have no reward {counted}."


def pass_rate_rows(comparison: Comparison) -> list[list[str]]:
    """Return a row for each run and number of repeats; none where nothing was repeated."""
    rows = [
        [run.name, str(rate.k), figure(rate.at_least_one), figure(rate.all)]
        for run in comparison.runs
        for rate in run.pass_rates
    ]
    return rows if any(row[1] != "1" for row in rows) else []


def comparison_text(comparison: Comparison, most: int) -> str:
    """Render a comparison as Markdown, with at most `most` rows of each kind."""
    parts = []
    for text, heads, rows in tables(comparison, most):
        parts += [_markdown(text)] if text else []
        parts += [_markdown_table(heads, rows)] if rows else []
    return "\n\n".join(parts) + "\n"


def comparison_page(comparison: Comparison, most: int) -> str:
    """Render a comparison as a page of its own, with at most `most` rows of each kind."""
    title = html.escape(_plain(" and ".join(run.name for run in comparison.runs)))
    parts = [
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>',
        f"<style>{_STYLE}</style><h1>{title}</h1>",
    ]
    for text, heads, rows in tables(comparison, most):
        parts += [f"<p>{html.escape(_plain(text))}</p>"] if text else []
        parts += [_html_table(heads, rows)] if rows else []
    return "\n".join(parts) + "\n"


def tables(
    comparison: Comparison, most: int
) -> Iterator[tuple[str, Sequence[str], list[list[str]]]]:
    """Yield all that is shown: a text, if any, and the heads and rows of its table, if any."""
    yield "", _RUN_HEADS, list(map(run_cells, comparison.runs))
    if rates := pass_rate_rows(comparison):
        yield "Pass rates.", _RATE_HEADS, rates
    for difference in comparison.differences:
        yield " ".join(sentences(comparison, difference)), (), []
        for name, pairs in (("Worse", difference.worse), ("Better", difference.better)):
            yield from _listed(name, _PAIR_HEADS, list(map(pair_cells, pairs)), most)
        for name, cases in _unpaired(difference):
            yield from _listed(name.capitalize(), _CASE_HEADS, list(map(case_cells, cases)), most)
    for run in comparison.runs:
        cells = list(map(case_cells, run.failed_cases))
        yield from _listed(f"Failed in {run.name}", _CASE_HEADS, cells, most)


def _unpaired(difference: Difference) -> Iterator[tuple[str, Sequence[Case]]]:
    yield "new", difference.new
    yield "missing", difference.missing
    yield "without a reward in one run", difference.left_out


def _listed(
    name: str, heads: Sequence[str], rows: list[list[str]], most: int
) -> Iterator[tuple[str, Sequence[str], list[list[str]]]]:
    if not most and rows:
        yield f"{name}: {len(rows)}.", (), []
    elif rows:
        rest = f", the first {most} of {len(rows)}" if len(rows) > most else ""
        yield f"{name}{rest}:", heads, rows[:most]


def _plain(text: str) -> str:
    """Replace what ends a line, steers a terminal or cannot be encoded."""
    return "".join(character if character.isprintable() else " " for character in text)


def _markdown(text: str) -> str:
    return _MARKUP.sub(r"\\\g<0>", _plain(text))


def _markdown_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [[head.capitalize() for head in heads], ["-"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(map(_markdown, line))} |" for line in lines)


def _html_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return html_table(map(str.capitalize, heads), (map(_plain, row) for row in rows))
