"""Containers that a pool starts itself: processes and their supervision."""

from synth_pools.backend.processes.supervisor import Processes

__all__ = ["Processes"]
