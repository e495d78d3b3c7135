"""Record of a run, from which its report is written at any time."""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from synth_pools.contract.clauses.finder import ClauseFinder
from synth_pools.contract.collector import ResultCollector
from synth_pools.contract.document import Document
from synth_pools.contract.exceptions import (
    BusyError,
    InterruptedRunError,
    StoppedError,
    UnjudgeableError,
    UnreachableError,
)
from synth_pools.contract.http.client import HttpClient
from synth_pools.contract.options import Access, ApiKey, Options
from synth_pools.contract.results import Exchange, LayerResult, Report
from synth_pools.contract.rules.facts import FactBook
from synth_pools.contract.session import Session, client_for_run

# Seconds that running checks may take after the deadline of the run.
_LAST_SECONDS = 10.0

# A callback for the phase, and the numbers of finished and of all checks.
Progress = Callable[[str, int, int], None]


@dataclass(slots=True)
class RunRecord:
    """Results of a run so far, and the reasons that ended it early.

    Attributes:
        seed: The seed of the run.
        profile: The amount of checks, for the report.
        document_name: The name of the document's file.
        url: The base URL.
        run_id: Eight hexadecimal digits that mark what the run creates.
        started_at: The start of the run, ISO 8601 in UTC.
        began: The start of the run, on time.monotonic()'s clock.
        document: The document.
        finder: The finder of broken sentences.
        layers: The results of the layers, except those in the session's collector.
        obstacles: The reasons why the subject could not be judged.
        notes: Remarks on the run itself.
        session: The session, once there is one.
    """

    seed: int
    profile: str
    document_name: str = "openapi.yaml"
    url: str = ""
    run_id: str = field(default_factory=lambda: secrets.token_hex(4))
    started_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    began: float = field(default_factory=time.monotonic)
    document: Document | None = None
    finder: ClauseFinder | None = None
    layers: list[LayerResult] = field(default_factory=list)
    obstacles: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    session: Session | None = None

    @contextlib.contextmanager
    def opened(
        self,
        document: Document,
        api_key: str,
        *,
        client: type[HttpClient] = HttpClient,
        facts: FactBook | None = None,
        max_time: float | None,
        patience: float,
        on_exchange: Callable[[Exchange], None],
        access: Access | None,
        **settings: Any,
    ) -> Iterator[Session]:
        """Open the session of the run, whose requests end some seconds after its time.

        Args:
            document: The document.
            api_key: The key; empty for none.
            client: The kind of client.
            facts: What is remembered of the answers, if anything is.
            max_time: Seconds after which no further check begins; unlimited if None.
            patience: Seconds to wait for an expected change.
            on_exchange: A callback for every request with its response, in any thread.
            access: The way to the subject.
            settings: Further fields of `Options`.

        Raises:
            UnjudgeableError: There is no such way.
        """
        options = Options(
            url=self.url,
            api_key=ApiKey(api_key),
            run_id=self.run_id,
            seed=self.seed,
            deadline=float("inf") if max_time is None else time.monotonic() + max_time,
            access=access or Access(),
            **settings,
        )
        http = client_for_run(options, document, client)
        collector = ResultCollector(document, on_exchange, facts)
        self.session = Session(options, document, http, collector, patience=patience)
        with _ending_at_deadline(self.session):
            yield self.session

    def carry_out(
        self,
        judge: Callable[[], None],
        clean_up: Callable[[Session], None],
        on_report: Callable[[Report], None],
    ) -> Report:
        """Judge, report and clean up, whatever ends the run.

        Args:
            judge: Judges the subject; an obstacle that it raises is recorded.
            clean_up: Removes what the run created.
            on_report: Receives the report before the clean-up.

        Returns:
            The report after the clean-up.

        Raises:
            InterruptedRunError: It was interrupted by SIGINT; the error has the report so far.
        """
        try:
            interrupted = self._judge(judge)
        finally:
            if self.session is not None:
                # Scenarios that hang in a wait must not create anything during the clean-up.
                self.session.http.stop.set()
            try:
                on_report(self.report())
            finally:
                if self.session is not None:
                    clean_up(self.session)
        report = self.report()
        if interrupted:
            raise InterruptedRunError(report)
        return report

    def _judge(self, judge: Callable[[], None]) -> bool:
        """Record what keeps the subject from being judged; return True after SIGINT."""
        try:
            judge()
        except UnjudgeableError as error:
            self.obstacles.append(str(error))
        except UnreachableError as error:
            self.obstacles.append(f"the connection was lost ({error})")
        except BusyError as error:
            self.obstacles.append(f"the server is too busy to be judged: {error}")
        except StoppedError:
            self.obstacles.append("the time ran out before all of it had begun: give it more")
        except KeyboardInterrupt:
            self.obstacles.append("it was interrupted")
            return True
        return False

    def add(self, result: LayerResult) -> None:
        """Add the result of a layer."""
        self.layers.append(result)
        if result.obstacle is not None:
            self.obstacles.append(result.obstacle)
        if result.note is not None:
            self.notes.append(result.note)

    def report(self) -> Report:
        """Return the report so far."""
        layers, session = [*self.layers], self.session
        if session is not None:
            layers.insert(0, session.collector.result())
        reached: dict[tuple[str, int], int] = {}
        for layer in layers:
            for key, count in layer.reached.items():
                reached[key] = reached.get(key, 0) + count
        operations = self.document.operations if self.document else {}
        outcomes = tuple(outcome for layer in layers for outcome in layer.outcomes)
        if self.finder:
            outcomes = tuple(map(self.finder.named, outcomes))
        departures = [departure for outcome in outcomes for departure in outcome.departures]
        return Report(
            url=self.url,
            seed=self.seed,
            profile=self.profile,
            document=self.document_name,
            run_id=self.run_id,
            started_at=self.started_at,
            duration=time.monotonic() - self.began,
            operations=tuple(operations),
            routes={name: operation.route for name, operation in operations.items()},
            documented=self.document.documented if self.document else {},
            outcomes=outcomes,
            reached=reached,
            requests=sum(layer.requests for layer in layers),
            obstacles=tuple(dict.fromkeys(self.obstacles)),
            notes=tuple(self.notes),
            read_only=session.options.read_only if session else False,
            seconds=dict(session.seconds) if session else {},
            absent=tuple(self.document.every.keys() - operations.keys()) if self.document else (),
            lines=self.finder.lines(departures) if self.finder else {},
            clauses=self.finder.find(departures) if self.finder else {},
        )


@contextlib.contextmanager
def _ending_at_deadline(session: Session) -> Iterator[None]:
    """End all requests some seconds after the deadline; checks may end before that."""
    remaining = session.options.deadline - time.monotonic() + _LAST_SECONDS
    if remaining == float("inf"):
        yield
        return
    timer = threading.Timer(max(0.0, remaining), session.http.stop.set)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
