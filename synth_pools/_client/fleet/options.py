"""Arguments of `run_many`."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from synth_pools._client.arguments import (
    check_callback,
    check_choice,
    check_count,
    check_flag,
    check_seconds,
)
from synth_pools._client.fleet.budget import Budget
from synth_pools._client.fleet.journal_file import journal_path
from synth_pools._client.fleet.outcomes import FleetProgress, RolloutOutcome
from synth_pools._client.fleet.prices import Prices
from synth_pools.errors import RequestValidationError

_MOST_IN_FLIGHT = 10_000
_LONGEST_NAME = 128


@dataclasses.dataclass(slots=True, kw_only=True)
class FleetOptions:
    """Arguments of `run_many` without its requests, checked on creation.

    Raises:
        RequestValidationError: An argument is refused.
    """

    max_in_flight: int
    on_result: Callable[[RolloutOutcome], Any] | None
    journal: str | os.PathLike[str] | None
    fail_fast: bool
    retries: int
    progress: Callable[[FleetProgress], Any] | bool | None
    in_order: bool
    on_interrupt: str
    patience: float
    repeats: int
    total: int | None
    prices: Any = None
    max_cost_usd: float | None = None
    max_tokens: int | None = None
    max_seconds: float | None = None
    on_budget: str = "finish"
    run: str | None = None
    labels: Mapping[str, str] | None = None
    price_list: Prices | None = dataclasses.field(init=False)
    budget: Budget = dataclasses.field(init=False)
    journal_path: Path | None = dataclasses.field(init=False)
    # Fields of all requests, beside their own.
    fields: dict[str, Any] = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        check_callback(self.on_result, "on_result")
        if not isinstance(self.progress, bool):
            check_callback(self.progress, "progress")
        check_flag(self.fail_fast, "fail_fast")
        check_flag(self.in_order, "in_order")
        check_count(self.max_in_flight, "max_in_flight", least=1, most=_MOST_IN_FLIGHT)
        self.journal_path = journal_path(self.journal)
        check_count(self.retries, "retries", least=0, most=1000)
        check_choice(self.on_interrupt, "on_interrupt", ("leave", "cancel"))
        self.patience = check_seconds(self.patience, "patience")
        check_count(self.repeats, "repeats", least=1, most=_MOST_IN_FLIGHT)
        self.price_list = None if self.prices is None else Prices(self.prices)
        self.budget = Budget(self.max_cost_usd, self.max_tokens, self.max_seconds, self.on_budget)
        if self.total is not None:
            check_count(self.total, "total", least=0, most=2**53)
        self.fields = _fields(self.run, self.labels)


def _fields(run: object, labels: object) -> dict[str, Any]:
    if run is not None and not (isinstance(run, str) and 0 < len(run) <= _LONGEST_NAME):
        raise RequestValidationError(f"run must be a text of 1 to {_LONGEST_NAME} characters")
    texts = [*labels, *labels.values()] if isinstance(labels, Mapping) else [labels]
    if labels is not None and not all(isinstance(text, str) for text in texts):
        raise RequestValidationError("labels must be texts by their names")
    fields = {"run": run, "labels": labels and dict(labels)}  # type: ignore[call-overload]
    return {name: value for name, value in fields.items() if value}


def completed(request: Any, fields: Mapping[str, Any]) -> Any:
    """Return a request with the fields of all requests; its own come first, label by label."""
    if not fields or not isinstance(request, dict):
        return request
    specific = {name: request[name] for name in fields if request.get(name) is not None}
    if isinstance(specific.get("labels"), dict):
        specific["labels"] = {**fields["labels"], **specific["labels"]}
    return {**request, **fields, **specific}


def check_requests(requests: object) -> None:
    """Refuse a single request in place of many.

    Raises:
        RequestValidationError: It is a mapping or a text.
    """
    if isinstance(requests, Mapping | str | bytes):
        raise RequestValidationError(
            f"requests must be an iterable of requests, not one {type(requests).__name__}"
        )
