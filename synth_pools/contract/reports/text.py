"""Report as text: a table of all operations, the departures by cause, one line of summary."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from textwrap import wrap

from synth_pools.contract.http.reproduce import curl_line, python_line
from synth_pools.contract.results import NEEDS, Column, Departure, DepartureGroup, Outcome, Report


@dataclass(frozen=True, slots=True)
class Mark:
    """Form of an outcome in a table: its Unicode and ASCII signs, ANSI colour and word."""

    sign: str
    plain: str
    colour: str
    word: str


MARKS = {
    Outcome.HELD: Mark("✓", "ok", "32", "held"),
    Outcome.KNOWN: Mark("≈", "~", "33", "known"),
    Outcome.DEPARTED: Mark("✗", "NO", "1;31", "departed"),
    Outcome.NOT_OFFERED: Mark("○", "-", "2", "not offered"),
    Outcome.NOT_REACHED: Mark("?", "?", "33", "not reached"),
    None: Mark("·", ".", "2", "nothing to check"),
}
_NAMED = 6
_STEPS = 5
_PLACES = 8
# Most entries, and most bytes of a line, on the terminal; the other reports are complete.
_ENTRIES = 20
_LINE = 2_000


@dataclass(frozen=True, slots=True)
class _Style:
    colour: bool
    unicode: bool
    width: int

    def paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour else text

    def mark(self, outcome: Outcome | None, width: int = 0) -> str:
        mark = MARKS[outcome]
        return self.paint((mark.sign if self.unicode else mark.plain).center(width), mark.colour)


def render_table(
    report: Report,
    *,
    colour: bool = False,
    width: int = 100,
    unicode: bool = True,
    elsewhere: str | None = None,
) -> str:
    """Render a report as text.

    Args:
        report: The report.
        colour: Use ANSI colours.
        width: Columns of the terminal; at least 60 are used.
        unicode: Use marks outside ASCII.
        elsewhere: The file with the entries that do not fit on a terminal.

    Returns:
        The text.
    """
    style = _Style(colour, unicode, max(60, width))
    lines = [
        *_head(report),
        "",
        *_table(report, style),
        "",
        *_departures(report, style, elsewhere),
        *_remarks(report, style),
        *_coverage(report, style),
        *_obstacles(report, style),
        style.paint(report.summary, {0: "1;32", 1: "1;31"}.get(report.exit_code, "1;33")),
        *_next(report),
    ]
    return "\n".join(map(_bounded, lines)) + "\n"


def _bounded(line: str) -> str:
    """Cut a long line for a terminal; a cut line says so."""
    raw = line.encode("utf-8", "replace")
    if len(raw) <= _LINE:
        return line
    tail = f" ... ({len(raw)} bytes, whole in the other reports)"
    return raw[: _LINE - len(tail)].decode("utf-8", "ignore") + tail


def _head(report: Report) -> Iterator[str]:
    read_only = ", read-only" if report.read_only else ""
    yield (
        f"{report.url}: {report.profile}{read_only}, seed {report.seed}, "
        f"{report.requests:,} requests in {report.duration:.0f} s"
    )


def _table(report: Report, style: _Style) -> Iterator[str]:
    first = max((len(name) for name in report.operations), default=9)
    yield " " * first + "".join(f"  {column.value}" for column in Column)
    for operation in report.operations:
        cells = "".join(
            "  " + style.mark(report.cell(operation, column), len(column.value))
            for column in Column
        )
        yield f"{operation:<{first}}{cells}".rstrip()
    yield ""
    yield "  ".join(f"{style.mark(outcome)} {mark.word}" for outcome, mark in MARKS.items())


def _departures(report: Report, style: _Style, elsewhere: str | None) -> Iterator[str]:
    groups = report.groups
    if not groups:
        return
    yield style.paint(f"Departures ({len(groups)}), the most harmful first", "1")
    for number, group in enumerate(groups[:_ENTRIES], 1):
        yield ""
        yield from _group(number, group, report, style)
    yield ""
    more = len(groups) - _ENTRIES
    if more > 0:
        yield f"and {more} more in {elsewhere or 'the reports that --report and --json write'}"
        yield ""


def _group(number: int, group: DepartureGroup, report: Report, style: _Style) -> Iterator[str]:
    first = group.first
    times = "once" if group.count == 1 else f"{group.count} times"
    title = f"{number}. {named(group.operations)}: {first.title}"
    for line in wrap(title, style.width, subsequent_indent="   "):
        yield style.paint(line, "1")
    yield f"   check     {first.check} ({first.layer.value}), seen {times}"
    yield from _wrapped("clause", place(report, first), style)
    for text in said(report, first):
        yield from _wrapped("says", text, style)
    for label, text in (("expected", first.expected), ("got", first.got)):
        yield from _wrapped(label, text, style)
    if len(group.operations) > _NAMED:
        yield from _wrapped("of", ", ".join(filter(None, group.operations)), style)
    others = places(group)
    for text in others[:_PLACES]:
        yield from _wrapped("also", text, style)
    if len(others) > _PLACES:
        yield f"   also      {len(others) - _PLACES} more places"
    for line, count in steps(first)[-_STEPS:]:
        yield f"   before    {f'{count} times: ' if count > 1 else ''}{line}"
    if first.exchange is not None:
        yield f"   request   {curl_line(first.exchange)}"
        yield f"   python    {python_line(first.exchange)}"


def _wrapped(label: str, text: str, style: _Style) -> Iterator[str]:
    lines = wrap(text, style.width - 13, break_long_words=True) or [""]
    for number, line in enumerate(lines[:8]):
        yield f"   {label if number == 0 else '':<9} {line}"


def _remarks(report: Report, style: _Style) -> Iterator[str]:
    if report.absent:
        yield f"Not there: {len(report.absent)} operations"
        yield ""
    for outcome in (Outcome.NOT_OFFERED, Outcome.NOT_REACHED):
        gathered = remarks(report, outcome)
        needs = report.needs if outcome is Outcome.NOT_REACHED else {}
        if not gathered and not needs:
            continue
        yield style.paint(MARKS[outcome].word.capitalize(), "1")
        for operation, checks in needs.items():
            some = ", ".join(checks[:3]) + (f" and {len(checks) - 3} more" * (len(checks) > 3))
            yield f"  needs {operation}: {some}"
        for text in _by_note(gathered):
            yield from (f"  {line}" for line in wrap(text, style.width - 2))
        yield ""


def _by_note(gathered: Mapping[tuple[str, str], tuple[str, ...]]) -> Iterator[str]:
    """Yield one line for all checks that were skipped for one reason."""
    checks: dict[str, list[str]] = {}
    for check, note in gathered:
        checks.setdefault(note, []).append(check)
    for note, names in checks.items():
        if len(names) > 1 and note:
            some = ", ".join(names[:_NAMED])
            yield f"{note}: {some}{f' and {len(names) - _NAMED} more' * (len(names) > _NAMED)}"
            continue
        for check in names:
            yield f"{check}: {named(gathered[check, note])}{f' ({note})' if note else ''}"


def _coverage(report: Report, style: _Style) -> Iterator[str]:
    documented = sum(len(statuses) for statuses in report.documented.values())
    missed = missed_by_status(report)
    count = sum(len(operations) for operations in missed.values())
    yield f"Documented statuses reached: {documented - count} of {documented}"
    for status, operations in missed.items():
        line = f"not reached: {status} of {named(operations)}"
        yield from (f"  {part}" for part in wrap(line, style.width - 2))
    yield ""


def _obstacles(report: Report, style: _Style) -> Iterator[str]:
    for text in (*report.notes, *report.obstacles):
        yield from wrap(text, style.width)
    if report.notes or report.obstacles:
        yield ""


def place(report: Report, departure: Departure) -> str:
    """Return the place of a clause in the document, with its demand if that is no sentence."""
    section, demand = departure.clause.section, departure.clause.demand
    line = report.lines.get(section)
    location = section if line is None else f"{section} ({report.document}:{line})"
    # The demand of a clause with ids is a sentence, shown below it.
    return location if departure.clause.ids else f"{location}: {demand}"


def places(group: DepartureGroup) -> list[str]:
    """Return the places of an entry after its first one, each in one line."""
    return [
        f"{named(place.operations)} ({place.first.check}"
        f"{f', {place.count} times' if place.count > 1 else ''}): {place.first.title}"
        for place in group.places[1:]
    ]


def said(report: Report, departure: Departure) -> list[str]:
    """Return the sentences of the document that a departure breaks, with line and id."""
    clauses = report.clauses.get(departure.group, ())
    name = report.document
    return [f"{name}:{sentence.line} [{sentence.id}] {sentence.text}" for sentence in clauses]


def _next(report: Report) -> Iterator[str]:
    for operation, checks in report.needs.items():
        yield f"next: build {operation}, for which {len(checks)} checks wait"
        return


def steps(departure: Departure) -> list[tuple[str, int]]:
    """Return the requests that lead up to a departure, repeated ones once with their count."""
    lines = (curl_line(step) for step in departure.before)
    return [(line, len(list(same))) for line, same in groupby(lines)]


def named(operations: Iterable[str]) -> str:
    """List a few names, or the first of many and their number."""
    names = [name for name in operations if name]
    if len(names) <= _NAMED:
        return ", ".join(names) or "the server"
    return f"{len(names)} operations, as {', '.join(names[:3])}"


def remarks(report: Report, kind: Outcome) -> dict[tuple[str, str], tuple[str, ...]]:
    """Gather operations with an outcome by check and note, except the ones in `Report.needs`."""
    gathered: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    needed = {f"{NEEDS}{operation}" for operation in report.needs}
    for outcome in report.outcomes:
        if outcome.outcome is kind and outcome.note not in needed:
            gathered[outcome.check, outcome.note].append(outcome.operation)
    return {key: tuple(dict.fromkeys(operations)) for key, operations in gathered.items()}


def missed_by_status(report: Report) -> dict[str, tuple[str, ...]]:
    """Gather operations by the documented status that none of their responses had."""
    missed: defaultdict[str, list[str]] = defaultdict(list)
    for operation in report.operations:
        for status in report.statuses_missed(operation):
            missed[status].append(operation)
    return {status: tuple(missed[status]) for status in sorted(missed)}
