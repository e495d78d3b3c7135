"""Backends for these tests."""

from __future__ import annotations

from tests.support.backend_fixtures import failures, no_failures, server, start

__all__ = ["failures", "no_failures", "server", "start"]
