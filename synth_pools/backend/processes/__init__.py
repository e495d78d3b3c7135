"""Containers that a pool starts itself: processes and their supervision."""

from .supervisor import Processes

__all__ = ["Processes"]
