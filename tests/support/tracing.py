"""Spans, written down while a `with` block lasts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

# One for the whole process: the library lets it be set only once.
_EXPORTER = InMemorySpanExporter()


@contextlib.contextmanager
def recorded_spans() -> Iterator[Sequence[ReadableSpan]]:
    if not isinstance(trace.get_tracer_provider(), TracerProvider):
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(_EXPORTER))
        trace.set_tracer_provider(provider)
    _EXPORTER.clear()
    spans: list[ReadableSpan] = []
    yield spans
    spans += _EXPORTER.get_finished_spans()
