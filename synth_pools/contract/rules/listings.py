"""Rule for lists: a page follows the one before it, and holds every resource that belongs on it."""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from synth_pools.contract.document import FINAL, Operation
from synth_pools.contract.results import Clause, Column, Exchange
from synth_pools.contract.rules.verdict import Doubt, RuleResult, moment

FINAL_STATES: Mapping[str, tuple[str, ...]] = {
    "Rollout": FINAL,
    "RolloutSummary": FINAL,
    "Pool": ("archived",),
}
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
# Times may be shown in whole seconds.
_NEAR = timedelta(seconds=1)
_PLACE = ("cursor", "limit")
_ORDER = frozenset({"sort", "direction"})

# A resource, by caller, kind and id.
ResourceKey = tuple[bool, str, str]
Contradiction = tuple[str, RuleResult, Exchange]
_Filters = tuple[tuple[str, str], ...]


def column_of(check: str) -> Column:
    """Return the column of a rule for facts; errors have a request id, too."""
    return Column.ERRORS if check == "facts.request_id" else Column.BEHAVIOUR


@dataclass(frozen=True, slots=True)
class StatedDefinition:
    """Definition in an answer, when that had come, and whether it was one to a read."""

    fields: Mapping[str, Any]
    known_at: float
    is_read: bool


@dataclass
class FactAnswer:
    """Answer that states facts.

    Attributes:
        operation: The operation.
        exchange: The exchange.
        as_other: Whether the key was that of another organisation.
        ids: The ids in the path.
        before: Of a change, the definitions that it may change.
        is_first: Whether no other change came at the same time.
        results: What departs.
        agreed: The checks that held.
    """

    operation: Operation
    exchange: Exchange
    as_other: bool
    ids: Mapping[str, str]
    before: Mapping[ResourceKey, StatedDefinition] = field(default_factory=dict)
    is_first: bool = True
    results: list[Contradiction] = field(default_factory=list)
    agreed: set[str] = field(default_factory=set)

    @cached_property
    def slim(self) -> Exchange:
        """The exchange without its body, for what outlives the comparison."""
        return replace(self.exchange, response_body=b"")

    def judge(
        self,
        check: str,
        demand: str,
        met: bool,
        got: str,
        cause: str = "",
        doubt: Doubt | None = None,
    ) -> None:
        if met:
            self.agreed.add(check)
            return
        clause = Clause(self.operation.route, demand)
        result = RuleResult(
            check, column_of(check), clause, demand, got, cause or check, doubt=doubt
        )
        self.results.append((self.operation.id, result, self.exchange))

    def agreements(self) -> Iterator[Contradiction]:
        """Iterate over the results of the checks that held."""
        for check in self.agreed:
            clause = Clause(self.operation.route, check)
            result = RuleResult(check, column_of(check), clause, check, None)
            yield self.operation.id, result, self.exchange


@dataclass(slots=True)
class _Listed:
    """Resource in lists: since when it exists, and since when in its final state.

    Attributes:
        pool_id: The pool of a rollout.
        since: When it was read first.
        is_own: Whether the kit created it, so that lists must hold it.
        status: Its final state.
        final_since: When it was read in that state first.
    """

    pool_id: str
    since: float
    is_own: bool = True
    status: str = ""
    final_since: float = float("inf")


class Listings:
    """Resources in the order of their creation, and the pages that show them."""

    def __init__(self) -> None:
        # All resources of a kind, and those of each pool.
        self._lists: dict[ResourceKey, list[tuple[datetime, str]]] = defaultdict(list)
        self._listed: dict[ResourceKey, _Listed] = {}
        # The creation and the id of the last item before each cursor, by the list and its filters.
        self._cursors: dict[tuple[bool, str, str, _Filters, str], tuple[datetime, str]] = {}

    def pool_of(self, subject: ResourceKey) -> str | None:
        """Return the pool of a rollout; None where it was not read."""
        listed = self._listed.get(subject)
        return listed.pool_id if listed is not None else None

    def add(self, subject: ResourceKey, pool_id: str, created_at: Any, *, is_own: bool) -> None:
        if subject in self._listed:
            return
        as_other, kind, name = subject
        self._listed[subject] = _Listed(pool_id, time.monotonic(), is_own)
        created = moment(created_at)
        if created is None:
            # Its place is not known.
            return
        for pool in {"", pool_id}:
            insort(self._lists[as_other, kind, pool], (created, name))

    def finish(self, subject: ResourceKey, status: str) -> None:
        listed = self._listed.get(subject)
        if listed is not None and not listed.status:
            listed.status, listed.final_since = status, time.monotonic()

    def forget(self, subject: ResourceKey) -> tuple[str, str]:
        """Demand a deleted rollout of no list; return the pool and the final state that it had."""
        deleted = _Listed("", float("inf"), status="deleted")
        former = self._listed.get(subject, deleted)
        self._listed[subject] = deleted
        return former.pool_id, former.status

    def judge_page(self, answer: FactAnswer, body: Mapping[str, Any], items: list[Any]) -> None:
        """Expect the page to follow the one before it, and to hold all that belongs on it."""
        query = dict(parse_qsl(urlsplit(answer.exchange.url).query, keep_blank_values=True))
        filters = tuple(sorted((name, query[name]) for name in query if name not in _PLACE))
        state = query.get("state", "")
        kind, pool_id = answer.operation.item, answer.ids.get("pool_id", "")
        if "next_cursor" not in body or kind not in ("Rollout", "Pool", "Run"):
            return
        if not _ORDER.isdisjoint(query):
            # Its scenario judges another order than that of the creation.
            return
        stamps = [moment(item.get("created_at")) for item in items if isinstance(item, dict)]
        times = [stamp for stamp in stamps if stamp is not None]
        place = (answer.as_other, answer.operation.id, pool_id, filters)
        before = self._cursors.get((*place, query.get("cursor", "")))
        is_last, follows = body["next_cursor"] is None, "cursor" in query
        if len(times) != len(items) or not (times or before or (is_last and not follows)):
            return
        newest = max(times, default=_LAST) if follows else _LAST
        oldest = _FIRST if is_last else min(times, default=newest)
        names = [str(item.get("name" if kind == "Run" else "id")) for item in items]
        if before is not None:
            demand = "a page follows the one before it, whatever its limit"
            end, last = before
            is_next = (not times or newest <= end + _NEAR) and last not in names
            answer.judge("facts.listed", demand, is_next, f"it begins at {newest}")
            newest = end
        if not is_last:
            self._cursors[*place, str(body["next_cursor"])] = (oldest, names[-1] if names else "")
        filtered = state in FINAL_STATES.get(kind, ()) and len(filters) == 1
        if filtered or (kind != "Pool" and not filters):
            due = self._due(answer, pool_id, (oldest, newest), state)
            missing = due - set(names)
            demand = f"the list holds every {kind.lower()} that was there"
            observed = f"without {', '.join(sorted(missing)[:3])}"
            answer.judge("facts.listed", demand, not missing, observed)

    def _due(
        self, answer: FactAnswer, pool_id: str, between: tuple[datetime, datetime], state: str
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
            is_there = since < answer.exchange.began and state in ("", listed.status)
            if is_there and listed.is_own:
                due.add(name)
        return due
