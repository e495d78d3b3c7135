"""Backends for these tests."""

from __future__ import annotations

from tests.support.backend_fixtures import failures, no_failures, start

__all__ = ["failures", "no_failures", "start"]
