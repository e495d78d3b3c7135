"""Budget of a fleet: what it may spend, and what it has spent. Pure, no I/O."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping
from typing import Any

from synth_pools._client.arguments import check_choice, check_count
from synth_pools._client.fleet.usage import Usage, added, figures, in_words, is_finite, tokens
from synth_pools.errors import RequestValidationError


class NotStartedError(Exception):
    """Raised for a request that is not started, since the budget is reached."""


class Budget:
    """Limits of dollars, tokens and seconds. Several threads may use it.

    Args:
        max_cost_usd: Most dollars; None for no limit.
        max_tokens: Most tokens that models read and write.
        max_seconds: Most seconds from its start.
        on_budget: ``finish`` or ``cancel`` the rollouts under way.

    Attributes:
        reports_usage: Whether any rollout reports usage; None before the first has ended.

    Raises:
        RequestValidationError: A limit is no amount, or ``on_budget`` no choice.
    """

    def __init__(
        self, max_cost_usd: Any, max_tokens: Any, max_seconds: Any, on_budget: str
    ) -> None:
        for name, limit in (("max_cost_usd", max_cost_usd), ("max_seconds", max_seconds)):
            if limit is not None and not (is_finite(limit) and limit >= 0):
                raise RequestValidationError(f"{name} must be a number from 0 on")
        if max_tokens is not None:
            check_count(max_tokens, "max_tokens")
        check_choice(on_budget, "on_budget", ("finish", "cancel"))
        self._limits = {"max_cost_usd": max_cost_usd, "max_tokens": max_tokens}
        self._max_seconds = max_seconds
        self.cancels = on_budget == "cancel"
        self._lock = threading.Lock()
        self._spent: Usage = {}
        # Usage so far of requests that have not ended.
        self._counted: dict[int, Usage] = {}
        # True once a request has ended with tokens and without a cost.
        self._is_unpriced = False
        self.reports_usage: bool | None = None
        self._clock: Callable[[], float] | None = None
        self._ends_at = math.inf

    @property
    def sums_usage(self) -> bool:
        """True if there is a limit of dollars or tokens."""
        return any(limit is not None for limit in self._limits.values())

    def start(self, clock: Callable[[], float]) -> None:
        """Start the time."""
        self._clock = clock
        if self._max_seconds is not None:
            self._ends_at = clock() + self._max_seconds

    @property
    def remaining_seconds(self) -> float | None:
        """Seconds until its time is over; None without a limit."""
        if self._clock is None or self._ends_at == math.inf:
            return None
        return self._ends_at - self._clock()

    def count(self, index: int, usage: Mapping[str, float], *, is_final: bool) -> None:
        """Count what a request has used in all so far."""
        self.reports_usage = bool(usage or self.reports_usage)
        if not self.sums_usage:
            return
        amounts = figures(usage)
        with self._lock:
            former = self._counted.pop(index, {})
            more = {name: amount - former.get(name, 0) for name, amount in amounts.items()}
            self._spent = added(self._spent, more)
            if not is_final:
                self._counted[index] = amounts
            elif tokens(amounts) and "cost_usd" not in amounts:
                self._is_unpriced = True

    def reached(self) -> str | None:
        """Describe the limit that is reached; None if there is none."""
        spent = self._spent
        amounts = {"max_cost_usd": spent.get("cost_usd", 0), "max_tokens": tokens(spent)}
        for name, limit in self._limits.items():
            if limit is not None and amounts[name] >= limit:
                return f"{name}={limit}"
        remaining = self.remaining_seconds
        if remaining is not None and remaining <= 0:
            return f"max_seconds={self._max_seconds}"
        return None

    def check(self) -> None:
        """Raise `NotStartedError` if a limit is reached."""
        if self.reached() is not None:
            raise NotStartedError

    def problem(self, completed: int) -> str | None:
        """Describe why a limit cannot work, from what was reported; None if all of them do.

        Args:
            completed: Number of rollouts that completed: failed ones may have no usage.
        """
        problems, spent = [], self._spent
        if self._limits["max_cost_usd"] is not None:
            if self._is_unpriced:
                problems.append(
                    "max_cost_usd leaves out rollouts that report tokens and no cost: name the "
                    "price of their models, or of '*', in prices (--prices)"
                )
            elif completed and "cost_usd" not in spent:
                problems.append(
                    "max_cost_usd does not limit this run: no rollout reports a cost, nor tokens "
                    "that prices would apply to; max_seconds (--max-seconds) does"
                )
        has_tokens = "input_tokens" in spent or "output_tokens" in spent
        if self._limits["max_tokens"] is not None and completed and not has_tokens:
            problems.append(
                "max_tokens does not limit this run: no rollout reports tokens; max_seconds "
                "(--max-seconds) does"
            )
        return "; ".join(problems) or None

    def spent(self) -> str:
        """Write what was spent; empty without a limit of dollars or tokens."""
        return " and ".join(in_words(self._spent))
