"""Prices of models, by which costs are estimated where containers report tokens alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from synth_pools._client.fleet.usage import MOST, Usage, entry, is_finite
from synth_pools.errors import RequestValidationError

_PRICES = ("input", "cached", "output")
_MILLION = 1_000_000


class Prices:
    """Prices of models, in US dollars for a million tokens.

    Args:
        prices: Prices by model: ``input``, ``output`` and, if that differs, ``cached``; ``*`` is
            any other model.

    Raises:
        RequestValidationError: They are of another form.
    """

    def __init__(self, prices: Any) -> None:
        if not isinstance(prices, Mapping):
            raise RequestValidationError("prices must be an object with the prices of each model")
        self._prices: dict[str, tuple[float, float, float]] = {}
        for model, costs in prices.items():
            if not isinstance(costs, Mapping) or not {"input", "output"} <= set(costs):
                raise RequestValidationError(f"prices: {model} needs the prices input and output")
            for name, price in costs.items():
                if name not in _PRICES or not is_finite(price) or not 0 <= price <= MOST:
                    raise RequestValidationError(
                        f"prices: {model}: {name} is no price: give input, output and cached, "
                        "dollars for a million tokens"
                    )
            cached = costs.get("cached", costs["input"])
            self._prices[str(model)] = costs["input"], cached, costs["output"]

    def estimated(self, usage: Usage, request: Any, rollout: Any) -> Usage:
        """Return a usage with its cost, estimated where tokens alone are reported."""
        if "cost_usd" in usage or not ("input_tokens" in usage or "output_tokens" in usage):
            return usage
        model = entry(entry(request, "policy"), "model")
        if model is None:
            model = entry(entry(entry(rollout, "request"), "policy"), "model")
        prices = self._prices.get(str(model), self._prices.get("*"))
        if prices is None:
            return usage
        read = usage.get("input_tokens", 0)
        cached = min(read, usage.get("cached_input_tokens", 0))
        amounts = (read - cached, cached, usage.get("output_tokens", 0))
        cost = sum(p * a for p, a in zip(prices, amounts, strict=True)) / _MILLION
        return {**usage, "cost_usd": cost, "estimated_cost_usd": cost}
