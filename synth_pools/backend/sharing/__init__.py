"""Sharing of one database with other backends."""

from synth_pools.backend.sharing.peers import Peers

__all__ = ["Peers"]
