"""Rules for facts that several answers state: all of them agree, and final ones never change.

A fact is a value of a resource that does not depend on who reads it, or when: at any time what a
rollout was created with; once it has ended, or its pool is archived, all that the document says of
it. Each answer of a run is compared with the answers before it, whichever operations gave them.
"""

from __future__ import annotations

import hashlib
import threading
import time
from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from synth_pools.contract.document import EVENT_STREAM, FINAL, TERMINAL, Document, Operation
from synth_pools.contract.http.reproduce import OTHER_KEY
from synth_pools.contract.http.sse import read_messages
from synth_pools.contract.results import Clause, Column, Exchange
from synth_pools.contract.rules.consistency import resources_of
from synth_pools.contract.rules.verdict import (
    NotJsonError,
    RuleResult,
    media_type,
    moment,
    response_json,
    same_json,
    show,
)

# Fields of a rollout since its creation; a replay repeats the last four.
_CREATED = ("replay_of", "created_by", "created_at", "mode",
            "pool_id", "task_id", "request", "trace_correlation_id")  # fmt: skip
_REPEATED = _CREATED[4:]
_STATES: Mapping[str, tuple[str, ...]] = {
    "Rollout": FINAL,
    "RolloutSummary": FINAL,
    "Pool": ("archived",),
}
# Seconds by which the time that a server measures may differ from that between its time stamps.
_SECONDS, _WHOLE_SECONDS = 0.5, 1.5
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
_NEAR = timedelta(milliseconds=5)

# A resource, by caller, kind and id.
_Subject = tuple[bool, str, str]
Contradiction = tuple[str, RuleResult, Exchange]


@dataclass(slots=True)
class _Statement:
    """Value of a fact, where it was stated first, and whether other operations agreed."""

    value: Any
    operation: str
    exchange: Exchange
    has_support: bool = False


@dataclass(slots=True)
class _Listed:
    """Resource that lists must hold: since when it exists, and since when in its final state."""

    pool_id: str
    since: float
    status: str = ""
    final_since: float = float("inf")


@dataclass(slots=True)
class _Answer:
    """Answer that states facts."""

    operation: Operation
    exchange: Exchange
    as_other: bool
    ids: Mapping[str, str]
    results: list[Contradiction] = field(default_factory=list)
    agreed: set[str] = field(default_factory=set)

    def judge(self, check: str, demand: str, met: bool, got: str, cause: str = "") -> None:
        if met:
            self.agreed.add(check)
            return
        clause = Clause(self.operation.route, demand)
        result = RuleResult(check, Column.BEHAVIOUR, clause, demand, got, cause or check)
        self.results.append((self.operation.id, result, self.exchange))


_Read = Callable[[_Answer, _Subject, Mapping[str, Any]], None]


class FactBook:
    """Facts of a run. Several threads may use it."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._lock = threading.Lock()
        self._facts: dict[tuple[_Subject, str], _Statement] = {}
        self._latest: dict[tuple[_Subject, str], Any] = {}
        # When a rollout was first observed to have ended; the same by pool and state.
        self._ended: dict[_Subject, float] = {}
        self._ends: dict[_Subject, list[float]] = defaultdict(list)
        self._lasted: dict[_Subject, tuple[float, float]] = {}
        # Resources in the order of their creation: all of a kind, and those of each pool.
        self._lists: dict[_Subject, list[tuple[datetime, str]]] = defaultdict(list)
        self._listed: dict[_Subject, _Listed] = {}
        # The creation of the last item before each cursor, by the list and its filter.
        self._cursors: dict[tuple[bool, str, str, bool, str, str], datetime] = {}
        # The kind of resource, the name of its id, and the reader of its facts, by schema.
        self._readers: Mapping[str, tuple[str, str, _Read]] = {
            "Rollout": ("Rollout", "rollout_id", self._read_rollout),
            "RolloutSummary": ("Rollout", "rollout_id", self._read_summary),
            "RolloutUsage": ("Rollout", "rollout_id", self._read_usage),
            "PoolMetrics": ("Pool", "pool_id", self._read_metrics),
            "Pool": ("Pool", "pool_id", self._read_pool),
        }

    def ended(self) -> list[tuple[str, str]]:
        """Return the pool and the id of each rollout that was observed to have ended."""
        with self._lock:
            subjects = [subject for subject in self._ended if not subject[0]]
            return [(self._listed[s].pool_id, s[2]) for s in subjects if s in self._listed]

    def compare(self, operation: Operation | None, exchange: Exchange) -> list[Contradiction]:
        """Compare what an answer states with the answers before it.

        Args:
            operation: The operation; a request that addresses none states nothing.
            exchange: The exchange.

        Returns:
            The results of rules, each with the operation and the exchange that it is about.
        """
        refused = exchange.status not in (200, 201, 202) or exchange.trouble
        if operation is None or refused or self._document.is_foreign:
            return []
        keys = [text for name, text in exchange.request_headers if name.lower() == "authorization"]
        ids = operation.ids(self._document.path_of(exchange.url)) or {}
        answer = _Answer(operation, exchange, any(OTHER_KEY in key for key in keys), ids)
        kind = media_type(exchange)
        if kind == EVENT_STREAM:
            events = [message.envelope for message in read_messages(exchange.response_body)]
            with self._lock:
                self._read_events(answer, events)
        elif kind == "application/json":
            try:
                body = response_json(exchange)
            except NotJsonError:
                return []
            if isinstance(body, dict):
                with self._lock:
                    self._read(answer, body)
        elif "artifact_path" in ids:
            digest = hashlib.sha256(exchange.response_body).hexdigest()
            with self._lock:
                self._state_content(answer, ids["artifact_path"], digest)
        results = list(answer.results)
        for check in answer.agreed:
            clause = Clause(operation.route, check)
            result = RuleResult(check, Column.BEHAVIOUR, clause, check, None)
            results.append((operation.id, result, exchange))
        return results

    def _read(self, answer: _Answer, body: dict[str, Any]) -> None:
        for schema, resource in resources_of(answer.operation, answer.exchange, body):
            if schema not in self._readers:
                continue
            kind, id_name, read = self._readers[schema]
            if not isinstance(resource.get(id_name), str):
                continue
            subject = (answer.as_other, kind, resource[id_name])
            latest = (subject, f"{schema} of {answer.operation.id}")
            # The same answer again states nothing new, unless it depends on time.
            if schema in _STATES and self._latest.get(latest) == resource:
                continue
            self._latest[latest] = resource
            read(answer, subject, resource)
        if isinstance(body.get("events"), list):
            self._read_events(answer, body["events"])
        if isinstance(items := body.get("items"), list):
            if answer.operation.item == "Artifact":
                self._read_artifacts(answer, [item for item in items if isinstance(item, dict)])
            elif answer.operation.is_paged:
                self._read_list(answer, body, items)

    def _state(self, check: str, answer: _Answer, subject: _Subject, name: str, value: Any) -> None:
        """State a fact; the answer, or the one that stated it first, departs if it is another."""
        if name == "error" and isinstance(value, dict):
            # Details may be left out.
            for part, text in value.items():
                self._state(check, answer, subject, f"error.{part}", text)
            return
        value = (name.endswith("_at") and moment(value)) or value
        former = self._facts.get((subject, name))
        if former is None:
            slim = replace(answer.exchange, response_body=b"")
            self._facts[subject, name] = _Statement(value, answer.operation.id, slim)
            return
        operation = answer.operation.id
        if same_json(former.value, value):
            former.has_support |= operation != former.operation
            answer.agreed.add(check)
            return
        fact = f"{name} of {subject[1].lower()} {subject[2]}"
        cause = f"{check}|{name.partition(' ')[0]}"
        demand = f"{fact}, as {former.operation} states it: {_text(former.value)}"
        answer.judge(check, demand, False, _text(value), cause)
        if not former.has_support and operation != former.operation:
            demand = f"{fact}, as {operation} states it: {_text(value)}"
            clause, got = Clause(former.operation, demand), _text(former.value)
            result = RuleResult(check, Column.BEHAVIOUR, clause, demand, got, cause)
            answer.results.append((former.operation, result, former.exchange))

    def _read_rollout(self, answer: _Answer, subject: _Subject, rollout: Mapping[str, Any]) -> None:
        for name in _CREATED:
            if name in rollout:
                self._state("facts.created", answer, subject, name, rollout[name])
        original = rollout.get("replay_of")
        if isinstance(original, str):
            repeated = (answer.as_other, "Rollout", original)
            for name in _REPEATED:
                if name in rollout:
                    self._state("facts.replay", answer, repeated, name, rollout[name])
        pool_id, status = str(rollout.get("pool_id")), str(rollout.get("status"))
        self._enlist(subject, pool_id, rollout.get("created_at"))
        if status not in FINAL:
            return
        self._end(answer, subject, status, pool_id)
        for name in self._document.properties("Rollout"):
            if name in rollout and name not in _CREATED:
                self._state("facts.final", answer, subject, name, rollout[name])
        begin, end = moment(rollout.get("started_at")), moment(rollout.get("finished_at"))
        if begin and end:
            are_whole = begin.microsecond == end.microsecond == 0
            seconds = (end - begin).total_seconds()
            self._lasted[subject] = seconds, _WHOLE_SECONDS if are_whole else _SECONDS

    def _read_summary(self, answer: _Answer, subject: _Subject, summary: Mapping[str, Any]) -> None:
        raw_timing = summary.get("timing")
        timing = raw_timing if isinstance(raw_timing, dict) else {}
        facts = {"pool_id": summary.get("pool_id"), "created_at": timing.get("created_at")}
        for name, value in facts.items():
            if value is not None:
                self._state("facts.created", answer, subject, name, value)
        event = summary.get("last_event")
        if isinstance(event, dict):
            self._read_events(answer, [event])
        if summary.get("status") in FINAL:
            facts = {
                name: summary[name] for name in ("status", "score", "error") if name in summary
            }
            facts |= {
                name: timing[name] for name in ("started_at", "finished_at") if name in timing
            }
            if isinstance(event, dict):
                facts["the last event"] = event.get("sequence")
            for name, value in facts.items():
                self._state("facts.final", answer, subject, name, value)

    def _read_usage(self, answer: _Answer, subject: _Subject, usage: Mapping[str, Any]) -> None:
        if not self._had_ended(answer, subject):
            return
        for name in self._document.properties("RolloutUsage"):
            if name in usage:
                self._state("facts.usage", answer, subject, name, usage[name])
        seconds, tolerance = self._lasted.get(subject, (0.0, float("inf")))
        wall = usage.get("wall_time_sec")
        if isinstance(wall, int | float):
            demand = f"wall_time_sec is finished_at minus started_at: {seconds}"
            met = abs(wall - seconds) < tolerance
            answer.judge("facts.usage", demand, met, str(wall), "facts.usage|wall_time_sec")

    def _read_metrics(self, answer: _Answer, subject: _Subject, metrics: Mapping[str, Any]) -> None:
        for status in FINAL:
            moments = self._ends.get((answer.as_other, subject[2], status), [])
            least = bisect_left(moments, answer.exchange.began)
            count = metrics.get(f"{status}_rollouts")
            if least and isinstance(count, int | float):
                demand = f"{status}_rollouts counts the {least} that were read before"
                met, cause = count >= least, f"facts.metrics|{status}"
                answer.judge("facts.metrics", demand, met, str(count), cause)

    def _read_pool(self, answer: _Answer, subject: _Subject, pool: Mapping[str, Any]) -> None:
        self._state("facts.pool", answer, subject, "created_at", pool.get("created_at"))
        self._enlist(subject, "", pool.get("created_at"))
        if pool.get("status") in _STATES["Pool"]:
            self._finish(subject, "archived")
            for name in self._document.properties("Pool"):
                if name in pool:
                    self._state("facts.archived", answer, subject, name, pool[name])

    def _read_artifacts(self, answer: _Answer, items: list[dict[str, Any]]) -> None:
        subject = (answer.as_other, "Rollout", answer.ids.get("rollout_id", ""))
        if not items and not self._had_ended(answer, subject):
            return
        # The address depends on that of the request, and on whether the content is still there.
        plain = [{k: v for k, v in item.items() if k != "download_url"} for item in items]
        self._state("facts.artifacts", answer, subject, "artifacts", plain)
        for item in items:
            for name in {item.get("path"), item.get("artifact_id")} - {None}:
                self._state_content(answer, str(name), item.get("sha256"))

    def _state_content(self, answer: _Answer, name: str, digest: Any) -> None:
        subject = (answer.as_other, "Rollout", answer.ids.get("rollout_id", ""))
        self._state("facts.artifacts", answer, subject, f"sha256 of {name}", digest)

    def _read_events(self, answer: _Answer, events: list[Any]) -> None:
        for event in events:
            if not isinstance(event, dict) or not isinstance(event.get("rollout_id"), str):
                continue
            subject = (answer.as_other, "Rollout", event["rollout_id"])
            place, kind = event.get("sequence"), event.get("event")
            if not isinstance(place, int) or kind == "heartbeat":
                continue
            plain = {k: v for k, v in event.items() if k not in ("rollout", "summary")}
            self._state("facts.event", answer, subject, f"event {place}", plain)
            data = event.get("data")
            if kind in TERMINAL and isinstance(data, dict):
                facts = {"status": data.get("status"), "the last event": place}
                facts |= {"error": data["error"]} if "error" in data else {}
                facts |= {"score": data["outcome_reward"]} if "outcome_reward" in data else {}
                for name, value in facts.items():
                    self._state("facts.final", answer, subject, name, value)

    def _read_list(self, answer: _Answer, body: Mapping[str, Any], items: list[Any]) -> None:
        """Expect the page to follow the one before it, and to hold all that belongs on it."""
        query = parse_qs(urlsplit(answer.exchange.url).query, keep_blank_values=True)
        state = query.get("state", [""])[0]
        kind, pool_id = answer.operation.item, answer.ids.get("pool_id", "")
        if "next_cursor" not in body or kind not in ("Rollout", "Pool"):
            return
        stamps = [moment(item.get("created_at")) for item in items if isinstance(item, dict)]
        times = [stamp for stamp in stamps if stamp is not None]
        place = (answer.as_other, answer.operation.id, pool_id, "state" in query, state)
        before = self._cursors.get((*place, query.get("cursor", [""])[0]))
        is_last, follows = body["next_cursor"] is None, "cursor" in query
        if len(times) != len(items) or not (times or before or (is_last and not follows)):
            return
        newest = max(times, default=_LAST) if follows else _LAST
        oldest = _FIRST if is_last else min(times, default=newest)
        if before is not None:
            demand = "a page follows the one before it, whatever its limit"
            is_next = not times or newest <= before + _NEAR
            answer.judge("facts.listed", demand, is_next, f"it begins at {newest}")
            newest = before
        if not is_last:
            self._cursors[*place, str(body["next_cursor"])] = oldest
        filtered = state in _STATES[kind]
        if filtered or (kind == "Rollout" and "state" not in query):
            due = self._due(answer, pool_id, (oldest, newest), state)
            missing = due - {str(item.get("id")) for item in items}
            demand = f"the list holds every {kind.lower()} that was there"
            observed = f"without {', '.join(sorted(missing)[:3])}"
            answer.judge("facts.listed", demand, not missing, observed)

    def _due(
        self, answer: _Answer, pool_id: str, between: tuple[datetime, datetime], state: str
    ) -> set[str]:
        """Return the resources that a page must hold if its items are from between two times."""
        caller, kind = answer.as_other, answer.operation.item
        candidates = self._lists.get((caller, kind, pool_id), [])
        oldest, newest = between
        # Several may be created at nearly the same time, in another order than their times tell.
        first = bisect_right(candidates, (max(oldest, _FIRST + _NEAR) + _NEAR, ""))
        last = bisect_left(candidates, (min(newest, _LAST - _NEAR) - _NEAR, ""))
        due = set()
        for _, name in candidates[first:last]:
            listed = self._listed[caller, kind, name]
            since = listed.final_since if state else listed.since
            if since < answer.exchange.began and state in ("", listed.status):
                due.add(name)
        return due

    def _enlist(self, subject: _Subject, pool_id: str, created_at: Any) -> None:
        created = moment(created_at)
        if created is not None and subject not in self._listed:
            as_other, kind, name = subject
            self._listed[subject] = _Listed(pool_id, time.monotonic())
            for pool in {"", pool_id}:
                insort(self._lists[as_other, kind, pool], (created, name))

    def _finish(self, subject: _Subject, status: str) -> None:
        listed = self._listed.get(subject)
        if listed is not None and not listed.status:
            listed.status, listed.final_since = status, time.monotonic()

    def _end(self, answer: _Answer, subject: _Subject, status: str, pool_id: str) -> None:
        self._finish(subject, status)
        if subject not in self._ended:
            self._ended[subject] = time.monotonic()
            self._ends[answer.as_other, pool_id, status].append(self._ended[subject])

    def _had_ended(self, answer: _Answer, subject: _Subject) -> bool:
        return answer.exchange.began > self._ended.get(subject, float("inf"))


def _text(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else show(value)
