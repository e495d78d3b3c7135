"""Sharing of one database with other backends."""

from .peers import Peers

__all__ = ["Peers"]
