"""Metrics: counted while the backend runs, and shown at `/metrics`."""

from __future__ import annotations
