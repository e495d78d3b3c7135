"""Sharing of one database with other backends."""

from .container_health import SharedHealth
from .peers import Peers

__all__ = ["Peers", "SharedHealth"]
