"""Spans around calls. Imported only if the program uses OpenTelemetry."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

from synth_pools._client.http import URL
from synth_pools._version import __version__
from synth_pools.errors import APIStatusError, SynthPoolsError


@contextlib.contextmanager
def span(operation: str, method: str, path: str, base_url: str) -> Iterator[Any]:
    """Open a span around a call. The program must have imported OpenTelemetry."""
    trace = sys.modules["opentelemetry.trace"]
    origin = URL(base_url)
    tracer = trace.get_tracer("synth_pools", __version__)
    attributes = {
        "http.request.method": method,
        "server.address": origin.host,
        "server.port": origin.port or {"http": 80, "https": 443}[origin.scheme],
        "synth_pools.operation": operation,
        "url.template": path,
    }
    with tracer.start_as_current_span(
        f"{method} {path}",
        kind=trace.SpanKind.CLIENT,
        attributes=attributes,
        record_exception=False,
        set_status_on_exception=False,
    ) as current:
        failure: SynthPoolsError | None = None
        try:
            yield current
        except SynthPoolsError as error:
            failure = error
            current.set_attribute("error.type", type(error).__name__)
            if isinstance(error, APIStatusError):
                current.set_attribute("http.response.status_code", error.status_code)
            current.set_status(trace.StatusCode.ERROR)
        if failure is not None:
            raise failure
