"""Report for programs: the results of a run as one JSON document."""

from __future__ import annotations

import base64
import json
from typing import Any

from synth_pools.contract.http.reproduce import bytes_expression, curl_line, python_line
from synth_pools.contract.results import Column, Departure, Exchange, LongBody, Report

FORMAT = 1


def render_json(report: Report) -> str:
    """Render a report as JSON text."""
    return json.dumps(report_document(report), ensure_ascii=False, indent=2) + "\n"


def report_document(report: Report) -> dict[str, Any]:
    """Return a report as a JSON object; `format` changes if readers have to adapt."""
    return {
        "format": FORMAT,
        "url": report.url,
        "profile": report.profile,
        "read_only": report.read_only,
        "seed": report.seed,
        "run_id": report.run_id,
        "started_at": report.started_at,
        "duration_seconds": round(report.duration, 3),
        "requests": report.requests,
        "exit_code": report.exit_code,
        "summary": report.summary,
        "counts": {outcome.value: count for outcome, count in report.counts().items()},
        "obstacles": list(report.obstacles),
        "notes": list(report.notes),
        "absent": sorted(report.absent),
        "needs": {name: list(checks) for name, checks in report.needs.items()},
        "operations": [_operation(report, name) for name in report.operations],
        "checks": [
            {
                "check": outcome.check,
                "operation": outcome.operation,
                "column": outcome.column.value,
                "layer": outcome.layer.value,
                "outcome": outcome.outcome.value,
                "note": outcome.note,
                "seconds": report.seconds.get(outcome.check),
            }
            for outcome in report.outcomes
        ],
        "departures": [
            {
                "title": group.first.title,
                **_departure(report, group.first),
                "operations": list(group.operations),
                "seen": group.count,
                "places": [
                    {
                        "check": place.first.check,
                        "operations": list(place.operations),
                        "expected": place.first.expected,
                        "got": place.first.got,
                        "seen": place.count,
                        "curl": place.first.exchange and curl_line(place.first.exchange),
                    }
                    for place in group.places
                ],
            }
            for group in report.groups
        ],
    }


def _operation(report: Report, name: str) -> dict[str, Any]:
    cells = {column: report.cell(name, column) for column in Column}
    return {
        "operation": name,
        "route": report.routes.get(name, ""),
        "cells": {column.value: cell.value if cell else None for column, cell in cells.items()},
        "documented": list(report.documented.get(name, ())),
        "reached": {
            str(status): count for (op, status), count in report.reached.items() if op == name
        },
        "not_reached": list(report.statuses_missed(name)),
    }


def _departure(report: Report, departure: Departure) -> dict[str, Any]:
    return {
        "check": departure.check,
        "operation": departure.operation,
        "layer": departure.layer.value,
        "column": departure.column.value,
        "clause": {
            "section": departure.clause.section,
            "demand": departure.clause.demand,
            "line": report.lines.get(departure.clause.section),
        },
        "says": [
            {"id": sentence.id, "line": sentence.line, "text": sentence.text}
            for sentence in report.clauses.get(departure.group, ())
        ],
        "expected": departure.expected,
        "got": departure.got,
        "before": [_exchange(step) for step in departure.before],
        "exchange": _exchange(departure.exchange) if departure.exchange else None,
    }


def _exchange(exchange: Exchange) -> dict[str, Any]:
    return {
        "method": exchange.method,
        "url": exchange.url,
        "request_headers": [list(pair) for pair in exchange.request_headers],
        "request_body": _text(exchange.request_body),
        "status": exchange.status,
        "response_headers": [list(pair) for pair in exchange.response_headers],
        "response_body": _text(exchange.response_body),
        "trouble": exchange.trouble,
        "curl": curl_line(exchange),
        "python": python_line(exchange),
    }


def _text(body: bytes | LongBody | None) -> str | dict[str, Any] | None:
    """Return a body as text, as base64 if it is not UTF-8, or as its repeated parts."""
    if body is None:
        return None
    if isinstance(body, LongBody):
        return {"size": body.size, "python": bytes_expression(body)}
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(body).decode()}
