"""Judge of exchanges between other clients and a backend."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from synth_pools.contract.clauses.finder import ClauseFinder
from synth_pools.contract.collector import ResultCollector
from synth_pools.contract.document import Document, read_specification, specification_text
from synth_pools.contract.results import Exchange, Layer, Report
from synth_pools.contract.rules.clauses import CLAUSES
from synth_pools.contract.rules.event_streams import check_event_stream

_NOTHING = "no answered request of an operation of the document was among them"
# Operations that the document lacks, each with a line of its own.
_MOST_ROUTES = 20


class TrafficJudge:
    """Judge of single exchanges; several threads may use it.

    It ignores their order: each verdict is about one exchange by itself.
    """

    def __init__(self, source: str, spec: Path | None = None) -> None:
        """Read the document.

        Args:
            source: The name of the traffic, for the report.
            spec: The document; None for the openapi.yaml of this package.

        Raises:
            UnjudgeableError: The document cannot be read.
        """
        self.document = Document(read_specification(spec))
        self._finder = ClauseFinder(specification_text(spec), CLAUSES)
        self._collector = ResultCollector(self.document)
        self._lock = threading.Lock()
        self._undocumented: Counter[str] = Counter()
        if self.document.is_foreign:
            self.document.check_references()
        self._source = source
        if (path := urlsplit(source).path.rstrip("/")) and "://" in source:
            self.document.base_path = path
        self._began = time.monotonic()
        self._started_at = datetime.now(UTC).isoformat(timespec="seconds")

    def judge(self, exchange: Exchange) -> None:
        """Judge an exchange, unless its path is not in the document."""
        if not self.document.is_described(exchange.url):
            return
        operation = self.document.operation_of(exchange.method, exchange.url)
        if operation is None:
            route = f"{exchange.method} {self.document.path_of(exchange.url)}"
            with self._lock:
                self._undocumented[route] += 1
        addressed = replace(exchange, operation=operation.id if operation else None)
        self._collector.record(addressed, Layer.TRAFFIC)
        results = check_event_stream(self.document, operation, addressed)
        self._collector.add_results(results, addressed.operation or "", addressed, Layer.TRAFFIC)

    def report(self) -> Report:
        """Return the report so far."""
        result = self._collector.result()
        departures = [departure for outcome in result.outcomes for departure in outcome.departures]
        reached = {operation for operation, _ in result.reached}
        operations = {n: item for n, item in self.document.operations.items() if n in reached}
        return Report(
            url=self._source,
            seed=0,
            profile="traffic",
            run_id="",
            started_at=self._started_at,
            duration=time.monotonic() - self._began,
            operations=tuple(operations),
            routes={name: operation.route for name, operation in operations.items()},
            documented={name: tuple(item.responses) for name, item in operations.items()},
            outcomes=result.outcomes,
            reached=result.reached,
            requests=result.requests,
            obstacles=() if reached else (_NOTHING,),
            notes=tuple(self._notes()),
            lines=self._finder.lines(departures),
            clauses=self._finder.find(departures),
        )

    def _notes(self) -> Iterator[str]:
        """Yield a line for each operation in the traffic that the document lacks."""
        with self._lock:
            routes = self._undocumented.most_common()
        for route, count in routes[:_MOST_ROUTES]:
            yield f"not in the document: {route}, {count} times"
        if more := routes[_MOST_ROUTES:]:
            yield f"not in the document: {len(more)} more, {sum(n for _, n in more)} times"


def judge_traffic(exchanges: Iterable[Exchange], source: str, spec: Path | None = None) -> Report:
    """Judge exchanges, and return the report.

    Args:
        exchanges: The exchanges, for example of `read_archive`.
        source: The name of the traffic, for the report.
        spec: The document; None for the openapi.yaml of this package.

    Raises:
        UnjudgeableError: The document or the exchanges cannot be read.
    """
    judge = TrafficJudge(source, spec)
    for exchange in exchanges:
        judge.judge(exchange)
    return judge.report()
