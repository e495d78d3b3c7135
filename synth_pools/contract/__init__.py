"""Contract-test kit: judges a backend by openapi.yaml, by its URL and a key alone.

>>> from synth_pools.contract import run_contract
>>> report = run_contract("http://127.0.0.1:8080", api_key="...")
>>> report.exit_code, report.summary
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from synth_pools.contract.results import Report

if TYPE_CHECKING:
    from synth_pools.contract.run import run_contract

__all__ = ["Report", "run_contract"]


def __getattr__(name: str) -> object:
    if name == "run_contract":
        # Imports httpx, which readers of reports do not need.
        from synth_pools.contract.run import run_contract

        return run_contract
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
