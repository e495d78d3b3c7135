"""Relay between agents and models, which records all calls of a rollout as its trajectory."""

from synth_pools.relay.app import ModelRelay
from synth_pools.relay.server import relay_server
from synth_pools.relay.sessions import EpisodeLimits, ModelPrice, Recorder, RelaySession

__all__ = ["EpisodeLimits", "ModelPrice", "ModelRelay", "Recorder", "RelaySession", "relay_server"]
