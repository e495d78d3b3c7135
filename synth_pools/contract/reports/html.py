"""Report as one HTML file that needs no network and no server.

Data of the backend is not trusted: it is escaped, and the page's policy allows only its own script.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator
from html import escape
from importlib.resources import files

from synth_pools.contract.http.reproduce import curl_line, python_line
from synth_pools.contract.reports.text import MARKS, named, place, places, remarks, said, steps
from synth_pools.contract.results import (
    Column,
    DepartureGroup,
    Exchange,
    Outcome,
    Report,
    status_matches,
)

_BODY_SHOWN = 4_000


def render_html(report: Report) -> str:
    """Render a report as an HTML page."""
    style, script = _resource("page.css"), _resource("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    parts = [
        "<!doctype html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(_title(report))}</title>",
        f"<style>{style}</style>",
        "</head>",
        "<body>",
        *_head(report),
        *_find(),
        *_table(report),
        *_departures(report),
        *_remarks(report),
        *_statuses(report),
        f"<script>{script}</script>",
        "</body>",
        "</html>",
    ]
    return "\n".join(parts) + "\n"


def _resource(name: str) -> str:
    return files("synth_pools.contract.reports").joinpath(name).read_text(encoding="utf-8")


def _title(report: Report) -> str:
    verdict = {0: "conforms", 1: "departs"}.get(report.exit_code, "could not be judged")
    return f"{report.url} {verdict}"


def _head(report: Report) -> Iterator[str]:
    kind = {0: "good", 1: "bad"}.get(report.exit_code, "odd")
    read_only = ", read-only" if report.read_only else ""
    yield f"<header><h1>{escape(report.url)}</h1>"
    yield (
        f'<p class="soft">Judged by {report.document} on {escape(report.started_at)}: '
        f"{escape(report.profile)}{read_only}, seed {report.seed}, {report.requests:,} requests "
        f"in {report.duration:.0f} s, run {escape(report.run_id)}</p>"
    )
    yield f'<p class="verdict {kind}" id="verdict">{escape(report.summary)}</p>'
    for text in (*report.obstacles, *report.notes):
        yield f"<p>{escape(text)}</p>"
    if report.absent:
        yield f"<p>Not there: {len(report.absent)} operations.</p>"
    yield "</header>"


def _find() -> Iterator[str]:
    yield '<div class="find">'
    yield (
        '<input id="search" type="search" aria-label="Search" autocomplete="off" '
        'placeholder="Search operations, checks, answers">'
    )
    yield '<label><input id="only-departed" type="checkbox"> only departures</label></div>'


def _table(report: Report) -> Iterator[str]:
    yield '<section id="table"><h2>Operations</h2><table><thead><tr><th>operation</th>'
    yield from (f"<th>{column.value}</th>" for column in Column)
    yield "</tr></thead><tbody>"
    for operation in report.operations:
        cells = [report.cell(operation, column) for column in Column]
        bad = Outcome.DEPARTED in cells
        state = "departed" if bad else "held"
        route = report.routes.get(operation, "")
        name = f"<code>{escape(operation)}</code>"
        if bad:
            name = f'<a href="#departures" data-search="{escape(operation)}">{name}</a>'
        yield f'<tr data-state="{state}" data-find="{escape(f"{operation} {route}")}">'
        yield f'<td>{name}<span class="route">{escape(route)}</span></td>'
        for cell in cells:
            mark = MARKS[cell]
            css = cell.value if cell else "none"
            yield (
                f'<td class="{css}" title="{mark.word}">'
                f'<span role="img" aria-label="{mark.word}">{mark.sign}</span></td>'
            )
        yield "</tr>"
    yield "</tbody></table>"
    yield '<p class="nothing">No operation fits the search.</p>'
    legend = " ".join(f"{mark.sign} {mark.word} &nbsp;" for mark in MARKS.values())
    yield f'<p class="soft">{legend}</p></section>'


def _departures(report: Report) -> Iterator[str]:
    groups = report.groups
    yield f'<section id="departures"><h2>Departures ({len(groups)})</h2>'
    if not groups:
        yield '<p class="soft">None.</p>'
    for number, group in enumerate(groups, 1):
        yield from _group(number, group, report)
    yield '<p class="nothing">No departure fits the search.</p></section>'


def _group(number: int, group: DepartureGroup, report: Report) -> Iterator[str]:
    first = group.first
    times = "once" if group.count == 1 else f"{group.count} times"
    words = (*group.operations, first.check, str(first.clause), first.got, *places(group))
    searched = " ".join(words)
    open_attribute = " open" if number <= 3 else ""
    title = f"{number}. {named(group.operations)}: {first.title}"
    yield f'<details{open_attribute} data-state="departed" data-find="{escape(searched)}">'
    yield f'<summary>{escape(title)}</summary><div class="body"><dl>'
    pairs = (
        ("check", f"{first.check} ({first.layer.value}), seen {times}"),
        ("clause", place(report, first)),
        *(("says", text) for text in said(report, first)),
        ("operations", ", ".join(group.operations)),
        ("expected", first.expected),
        ("got", first.got),
        *(("also", text) for text in places(group)),
    )
    for label, text in pairs:
        yield f"<dt>{label}</dt><dd>{escape(text)}</dd>"
    yield "</dl>"
    if first.before:
        yield '<p class="soft">What leads up to it:</p>'
        for line, count in steps(first):
            yield _copied(f"copy, sent {count} times" if count > 1 else "copy", line)
    if first.exchange is not None:
        yield from _exchange(first.exchange)
    yield "</div></details>"


def _exchange(exchange: Exchange) -> Iterator[str]:
    yield '<p class="soft">The request that shows it, for a shell and for Python:</p>'
    yield _copied("copy curl", curl_line(exchange))
    yield _copied("copy Python", python_line(exchange))
    yield '<p class="soft">The answer:</p>'
    head = [f"{exchange.status or 'no answer'} {exchange.trouble or ''}".strip()]
    head += [f"{name}: {value}" for name, value in exchange.response_headers]
    body = exchange.response_body[:_BODY_SHOWN].decode("utf-8", "replace")
    more = "…" if len(exchange.response_body) > _BODY_SHOWN else ""
    text = "\n".join(head) + "\n\n" + body + more
    yield f"<pre>{escape(text)}</pre>"


def _copied(label: str, text: str) -> str:
    return f'<button type="button" data-copy>{label}</button><pre>{escape(text)}</pre>'


def _remarks(report: Report) -> Iterator[str]:
    for outcome in (Outcome.NOT_OFFERED, Outcome.NOT_REACHED):
        gathered = remarks(report, outcome)
        if outcome is Outcome.NOT_REACHED:
            for operation, checks in report.needs.items():
                gathered[f"needs {operation}", ""] = checks
        if not gathered:
            continue
        yield f"<section><h2>{MARKS[outcome].word.capitalize()}</h2><ul>"
        for (check, note), operations in gathered.items():
            text = f"{check}: {', '.join(operations) or 'the server'}"
            full = f"{text} ({note})" if note else text
            yield f'<li data-find="{escape(full)}" data-state="{outcome.value}">{escape(full)}</li>'
        yield "</ul></section>"


def _statuses(report: Report) -> Iterator[str]:
    yield "<section><h2>Documented statuses and how often each was seen</h2>"
    yield '<table class="statuses"><thead><tr><th>operation</th><th>statuses</th></tr></thead>'
    yield "<tbody>"
    for operation in report.operations:
        documented = report.documented.get(operation, ())
        counts = {s: n for (name, s), n in report.reached.items() if name == operation}
        strange = sorted(s for s in counts if not any(status_matches(d, s) for d in documented))
        chips = [*_chips(documented, counts), *(_chip(s, counts[s], "strange") for s in strange)]
        yield (
            f'<tr data-find="{escape(operation)}" data-state="held">'
            f"<td><code>{escape(operation)}</code></td><td>{''.join(chips)}</td></tr>"
        )
    yield "</tbody></table></section>"


def _chips(documented: Iterable[str], counts: dict[int, int]) -> Iterator[str]:
    for status in documented:
        count = sum(n for s, n in counts.items() if status_matches(status, s))
        yield _chip(status, count, "hit" if count else "miss")


def _chip(status: int | str, count: int, css: str) -> str:
    text = f"{status} ×{count}" if count else f"{status} not reached"  # noqa: RUF001
    return f'<span class="chip {css}">{text}</span>'
