"""Backends in each of the event loops."""

from __future__ import annotations

from tests.support.event_loops import loop_name, server

__all__ = ["loop_name", "server"]
