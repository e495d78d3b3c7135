"""Containers that a pool starts itself, from their start to the end of their last child."""

from .supervisor import Processes

__all__ = ["Processes"]
