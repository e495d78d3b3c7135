"""Rules for facts that several answers state: all of them agree, and final ones never change.

A fact is a value of a resource that does not depend on who reads it, or when: at any time what a
rollout was created with; once it has ended, or its pool is archived, all that the document says of
it. Each answer of a run is compared with the answers before it, whichever operations gave them.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from synth_pools.contract.document import EVENT_STREAM, FINAL, TERMINAL, Document, Operation
from synth_pools.contract.http.reproduce import OTHER_KEY
from synth_pools.contract.http.sse import read_messages
from synth_pools.contract.results import Exchange
from synth_pools.contract.rules.consistency import INCLUDED, resources_of
from synth_pools.contract.rules.counts import Counts
from synth_pools.contract.rules.definitions import Definitions
from synth_pools.contract.rules.documented import DocumentedFields
from synth_pools.contract.rules.listings import (
    FINAL_STATES,
    Contradiction,
    FactAnswer,
    Listings,
    ResourceKey,
)
from synth_pools.contract.rules.outcomes import stated_outcome
from synth_pools.contract.rules.statements import Statements
from synth_pools.contract.rules.verdict import NotJsonError, media_type, moment, response_json
from synth_pools.contract.selections import reads

# Fields of a rollout since its creation; a replay repeats the last six.
_CREATED = ("replay_of", "created_by", "created_at", "mode",
            "pool_id", "task_id", "request", "trace_correlation_id", "run", "labels")  # fmt: skip
_REPEATED = _CREATED[4:]
# Fields that a cancelled rollout may get with the last answer of its container.
_LATE = ("result", "updated_at")
# Fields of a run since its first rollout.
_BEGUN = ("created_at", "created_by", "labels", "configuration_digest")
# Facts of a rollout's usage, by their names in its summary.
_REPORTED = {
    "input_tokens": "llm_input_tokens",
    "output_tokens": "llm_output_tokens",
    "cost_usd": "cost_usd",
}
# Seconds by which the time that a server measures may differ from that between its time stamps.
_SECONDS, _WHOLE_SECONDS = 0.5, 1.5
_SERVER = (False, "Server", "")


_Read = Callable[[FactAnswer, ResourceKey, Mapping[str, Any]], None]


class FactBook:
    """Facts of a run. Several threads may use it.

    Attributes:
        is_own: Whether the run created a pool: others may change, delete and add what is theirs.
    """

    is_own: Callable[[str], bool] = staticmethod(lambda _: True)

    def __init__(self, document: Document) -> None:
        self._document = document
        self._lock = threading.Lock()
        self._facts = Statements()
        self._latest: dict[tuple[ResourceKey, str], Any] = {}
        self._counts = Counts(self._known)
        self._lasted: dict[ResourceKey, tuple[float, float]] = {}
        self._waited: dict[ResourceKey, float] = {}
        self._listings = Listings()
        self._documented = DocumentedFields(document)
        self._definitions = Definitions(
            {
                kind: tuple(document.properties(kind).keys() & document.properties(definition))
                for kind, definition in (("Pool", "PoolDefinition"), ("Task", "TaskDefinition"))
            }
        )
        # The runs of which some rollout is in a pool of this run of the kit.
        self._own_runs: set[ResourceKey] = set()
        self._requests: dict[str, tuple[float, str]] = {}
        # The kind of resource, the name of its id, and the reader of its facts, by schema.
        self._readers: Mapping[str, tuple[str, str, _Read]] = {
            "Rollout": ("Rollout", "rollout_id", self._read_rollout),
            "RolloutSummary": ("Rollout", "rollout_id", self._read_summary),
            "RolloutUsage": ("Rollout", "rollout_id", self._read_usage),
            "PoolMetrics": ("Pool", "pool_id", self._read_metrics),
            "Run": ("Run", "name", self._read_run),
            "Pool": ("Pool", "pool_id", self._read_pool),
            # Its state is judged above all.
            "RolloutEventPage": ("Rollout", "rollout_id", lambda *_: None),
            "PoolEventPage": ("Pool", "pool_id", self._definitions.judge_state),
            "PoolLogPage": ("Pool", "pool_id", self._definitions.judge_state),
            "Task": ("Task", "task_id", self._read_task),
        }

    def ended(self) -> list[tuple[str, str]]:
        """Return the pool and the id of each rollout that has ended, the longest wait first."""
        with self._lock:
            subjects = [subject for subject in self._counts.ended if not subject[0]]
            subjects.sort(key=lambda subject: -self._waited.get(subject, 0.0))
            pools = [(self._listings.pool_of(subject), subject[2]) for subject in subjects]
            return [(pool_id, name) for pool_id, name in pools if pool_id is not None]

    def runs(self) -> list[str]:
        """Return the names of the kit's own runs of which all known rollouts have ended."""
        with self._lock:
            return [run for run in self._counts.runs() if (False, "Run", run) in self._own_runs]

    def forget_run(self, name: str, *, as_other: bool = False) -> None:
        """Demand no rollout of a run any more, from before the request that deletes it."""
        run = (as_other, "Run", name)
        with self._lock:
            for subject, ended_at in self._counts.forget(run):
                pool_id, status = self._listings.forget(subject)
                if ended_at is not None:
                    self._counts.discount((as_other, "Pool", pool_id), status, ended_at)
            self._listings.forget(run)
            self._facts.forget(run, *_BEGUN)

    def compare(
        self, operation: Operation | None, exchange: Exchange, *, judged: bool = True
    ) -> list[Contradiction]:
        """Compare what an answer states with the answers before it.

        Args:
            operation: The operation; a request that addresses none states nothing.
            exchange: The exchange.
            judged: Whether the answer counts; its request may have changed something in any case.

        Returns:
            The results of rules, each with the operation and the exchange that it is about.
        """
        if operation is None or self._document.is_foreign:
            return []
        keys = [text for name, text in exchange.request_headers if name.lower() == "authorization"]
        ids = operation.ids(self._document.path_of(exchange.url)) or {}
        answer = FactAnswer(operation, exchange, any(OTHER_KEY in key for key in keys), ids)
        kind = media_type(exchange)
        if operation.id == "delete_run" and (exchange.status or 200) < 300:
            self.forget_run(ids.get("run", ""), as_other=answer.as_other)
        with self._lock:
            if operation.id == "delete_run" and exchange.status == 200:
                run = (answer.as_other, "Run", ids.get("run", ""))
                self._counts.delete(run, exchange.began + exchange.elapsed)
            self._definitions.change(answer)
            if exchange.trouble or not judged:
                return []
            self._read_request_id(answer)
        if exchange.status not in (200, 201, 202):
            pass
        elif kind == EVENT_STREAM:
            events = [message.envelope for message in read_messages(exchange.response_body)]
            header = exchange.header("x-accel-buffering")
            with self._lock:
                if events:
                    # A proxy may take it away, but then from every stream.
                    self._facts.state("facts.streams", answer, _SERVER, "x-accel-buffering", header)
                self._read_events(answer, events)
                for event in events:
                    for name, schema in INCLUDED.items():
                        if isinstance(resource := event.get(name), dict):
                            self._read_resource(answer, schema, resource)
        elif kind == "application/json":
            try:
                body = response_json(exchange)
            except NotJsonError:
                body = None
            if isinstance(body, dict):
                with self._lock:
                    self._read(answer, body)
        elif "artifact_path" in ids:
            digest = hashlib.sha256(exchange.response_body).hexdigest()
            with self._lock:
                self._state_content(answer, ids["artifact_path"], digest)
        return [*answer.results, *answer.agreements()]

    def _read_request_id(self, answer: FactAnswer) -> None:
        exchange = answer.exchange
        request_id = exchange.header("x-request-id")
        if request_id is not None:
            request = (exchange.began, exchange.url)
            first = self._requests.setdefault(request_id, request)
            demand = "x-request-id identifies this request alone"
            answer.judge("facts.request_id", demand, first == request, request_id)

    def _read(self, answer: FactAnswer, body: dict[str, Any]) -> None:
        for schema, resource in resources_of(answer.operation, answer.exchange, body):
            self._read_resource(answer, schema, resource)
        if isinstance(body.get("events"), list):
            self._read_events(answer, body["events"])
            if body.get("has_more") is False and "types=" not in answer.exchange.url:
                self._counts.judge_last(answer, body["events"])
        if isinstance(items := body.get("items"), list):
            if answer.operation.item == "Artifact":
                self._read_artifacts(answer, [item for item in items if isinstance(item, dict)])
            elif answer.operation.is_paged:
                self._listings.judge_page(answer, body, items)

    def _read_resource(self, answer: FactAnswer, schema: str, resource: Mapping[str, Any]) -> None:
        kind, id_name, read = self._readers.get(schema, ("", "", None))
        if read is None or not isinstance(resource.get(id_name), str):
            return
        subject = (answer.as_other, kind, resource[id_name])
        if kind == "Rollout":
            self._counts.judge_deleted(answer, subject)
        # A page that does not reach the last event may have the status of before.
        has_status = "status" in resource and resource.get("has_more") is not True
        if schema == "Pool" and self.is_own(subject[2]):
            self._definitions.confirm_state(answer, subject, resource)
            if reads(answer.operation):
                self._definitions.judge_state(answer, subject, resource)
        elif kind == "Rollout" and has_status and self._had_ended(answer, subject):
            self._facts.state("facts.final", answer, subject, "status", resource["status"])
        latest = (subject, f"{schema} of {answer.operation.id}")
        # The same answer again states nothing new, unless it depends on time.
        is_lasting = schema in FINAL_STATES and schema != "Pool"
        if is_lasting and self._latest.get(latest) == resource:
            return
        self._latest[latest] = resource
        read(answer, subject, self._documented.part(schema, resource))

    def _read_rollout(
        self, answer: FactAnswer, subject: ResourceKey, rollout: Mapping[str, Any]
    ) -> None:
        for name in _CREATED:
            if name in rollout:
                self._facts.state("facts.created", answer, subject, name, rollout[name])
        original = rollout.get("replay_of")
        if isinstance(original, str):
            repeated = (answer.as_other, "Rollout", original)
            for name in _REPEATED:
                if name in rollout:
                    self._facts.state("facts.replay", answer, repeated, name, rollout[name])
        pool_id, status = str(rollout.get("pool_id")), str(rollout.get("status"))
        run_name = rollout.get("run")
        run = (answer.as_other, "Run", run_name) if isinstance(run_name, str) else None
        is_counted = self._counts.add(subject, run)
        if is_counted:
            is_own = self.is_own(pool_id)
            self._listings.add(subject, pool_id, rollout.get("created_at"), is_own=is_own)
            if run and is_own:
                self._own_runs.add(run)
        if status not in FINAL:
            return
        if is_counted:
            self._listings.finish(subject, status)
            counted = [(answer.as_other, "Pool", pool_id), *([run] if run else [])]
            self._counts.end(subject, status, time.monotonic(), *counted)
        awaits_answer = status == "cancelled" and rollout.get("result") is None
        later = (*_CREATED, *_LATE) if awaits_answer else _CREATED
        for name in self._document.properties("Rollout"):
            if name in rollout and name not in later:
                self._facts.state("facts.final", answer, subject, name, rollout[name])
        for name, value in stated_outcome(rollout):
            check = "facts.final" if name == "score" else "facts.usage"
            self._facts.state(check, answer, subject, name, value)
        begin, end = moment(rollout.get("started_at")), moment(rollout.get("finished_at"))
        if begin and end:
            are_whole = 0 in (begin.microsecond, end.microsecond)
            seconds = (end - begin).total_seconds()
            self._lasted[subject] = seconds, _WHOLE_SECONDS if are_whole else _SECONDS
            created = moment(rollout.get("created_at")) or begin
            self._waited[subject] = (begin - created).total_seconds()

    def _read_summary(
        self, answer: FactAnswer, subject: ResourceKey, summary: Mapping[str, Any]
    ) -> None:
        raw_timing = summary.get("timing")
        timing = raw_timing if isinstance(raw_timing, dict) else {}
        facts = {"pool_id": summary.get("pool_id"), "created_at": timing.get("created_at")}
        for name, value in facts.items():
            if value is not None:
                self._facts.state("facts.created", answer, subject, name, value)
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
            facts["the last event"] = event.get("sequence") if isinstance(event, dict) else event
            for name, value in facts.items():
                self._facts.state("facts.final", answer, subject, name, value)
            if "usage" in summary and self._had_ended(answer, subject):
                usage = summary["usage"]
                reported = usage if isinstance(usage, dict) else {}
                for name, fact in _REPORTED.items():
                    if reported.get(name) or not self._may_be_told(subject):
                        self._facts.state("facts.usage", answer, subject, fact, reported.get(name))

    def _read_usage(
        self, answer: FactAnswer, subject: ResourceKey, usage: Mapping[str, Any]
    ) -> None:
        if not self._had_ended(answer, subject):
            return
        for name in self._document.properties("RolloutUsage"):
            if name in usage and (usage[name] or not self._may_be_told(subject)):
                self._facts.state("facts.usage", answer, subject, name, usage[name])
        seconds, tolerance = self._lasted.get(subject, (0.0, float("inf")))
        wall = usage.get("wall_time_sec")
        if isinstance(wall, int | float):
            demand = f"wall_time_sec is finished_at minus started_at: {seconds}"
            met = abs(wall - seconds) < tolerance
            answer.judge("facts.usage", demand, met, str(wall), "facts.usage|wall_time_sec")

    def _read_metrics(
        self, answer: FactAnswer, subject: ResourceKey, metrics: Mapping[str, Any]
    ) -> None:
        # Others may delete runs of theirs.
        if self.is_own(subject[2]):
            counts = {status: metrics.get(f"{status}_rollouts") for status in FINAL}
            self._counts.judge("facts.metrics", answer, subject, counts)
            self._definitions.judge_figures(answer, subject, metrics)

    def _known(self, subject: ResourceKey, name: str) -> tuple[Any, ...]:
        """Return the value of a fact in a tuple, as `FactReader` does."""
        if name == "seconds":
            has_started = self._known(subject, "started_at") != (None,)
            return self._lasted.get(subject, ()) if has_started else (0.0, 0.0)
        return self._facts.known(subject, name)

    def _read_pool(self, answer: FactAnswer, subject: ResourceKey, pool: Mapping[str, Any]) -> None:
        is_own = self.is_own(subject[2])
        if is_own:
            self._definitions.read(answer, subject, pool)
        self._facts.state("facts.pool", answer, subject, "created_at", pool.get("created_at"))
        self._listings.add(subject, "", pool.get("created_at"), is_own=is_own)
        if pool.get("status") in FINAL_STATES["Pool"]:
            self._listings.finish(subject, "archived")
            for name in self._document.properties("Pool"):
                if name in pool:
                    self._facts.state("facts.archived", answer, subject, name, pool[name])

    def _read_task(self, answer: FactAnswer, subject: ResourceKey, task: Mapping[str, Any]) -> None:
        if self.is_own(str(task.get("pool_id"))):
            self._definitions.read(answer, subject, task)

    def _read_run(self, answer: FactAnswer, subject: ResourceKey, run: Mapping[str, Any]) -> None:
        # Others may delete a run of theirs, and begin one of the same name.
        if self._counts.is_deleted(subject) or subject not in self._own_runs:
            return
        self._counts.judge_run(answer, subject, run)
        for name in _BEGUN:
            if name in run:
                # An empty value may be missing.
                self._facts.state("facts.run", answer, subject, name, run[name] or None)
        self._listings.add(subject, "", run.get("created_at"), is_own=True)

    def _read_artifacts(self, answer: FactAnswer, items: list[dict[str, Any]]) -> None:
        subject = (answer.as_other, "Rollout", answer.ids.get("rollout_id", ""))
        if not items and (self._may_be_told(subject) or not self._had_ended(answer, subject)):
            return
        # The address depends on that of the request, and on whether the content is still there.
        documented = self._documented.part("Artifact", items)
        plain = [{k: v for k, v in item.items() if k != "download_url"} for item in documented]
        self._facts.state("facts.artifacts", answer, subject, "artifacts", plain)
        for item in items:
            for name in {item.get("path"), item.get("artifact_id")} - {None}:
                self._state_content(answer, str(name), item.get("sha256"))

    def _state_content(self, answer: FactAnswer, name: str, digest: Any) -> None:
        subject = (answer.as_other, "Rollout", answer.ids.get("rollout_id", ""))
        self._facts.state("facts.artifacts", answer, subject, f"sha256 of {name}", digest)

    def _read_events(self, answer: FactAnswer, events: list[Any]) -> None:
        for event in events:
            if not isinstance(event, dict) or not isinstance(event.get("rollout_id"), str):
                continue
            subject = (answer.as_other, "Rollout", event["rollout_id"])
            self._counts.judge_deleted(answer, subject)
            place, kind = event.get("sequence"), event.get("event")
            if not isinstance(place, int) or kind == "heartbeat":
                continue
            documented = self._documented.part("RolloutEvent", event)
            plain = {k: v for k, v in documented.items() if k not in ("rollout", "summary")}
            self._facts.state("facts.event", answer, subject, f"event {place}", plain)
            data = event.get("data")
            if kind in TERMINAL and isinstance(data, dict):
                facts = {"status": data.get("status"), "the last event": place}
                if "error" in data:
                    facts["error"] = self._documented.part("RolloutError", data["error"])
                facts |= {"score": data["outcome_reward"]} if "outcome_reward" in data else {}
                for name, value in facts.items():
                    self._facts.state("facts.final", answer, subject, name, value)

    def _may_be_told(self, subject: ResourceKey) -> bool:
        """Return whether a rollout is cancelled, and its container may tell of it yet."""
        return self._known(subject, "status") == ("cancelled",)

    def _had_ended(self, answer: FactAnswer, subject: ResourceKey) -> bool:
        return answer.exchange.began > self._counts.ended.get(subject, float("inf"))
