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
    price_list: Prices | None = dataclasses.field(init=False)
    budget: Budget = dataclasses.field(init=False)
    journal_path: Path | None = dataclasses.field(init=False)

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


def check_requests(requests: object) -> None:
    """Refuse a single request in place of many.

    Raises:
        RequestValidationError: It is a mapping or a text.
    """
    if isinstance(requests, Mapping | str | bytes):
        raise RequestValidationError(
            f"requests must be an iterable of requests, not one {type(requests).__name__}"
        )
