"""uvicorn's server as backend, containers and relays run it: asleep while nothing is to be done."""

from synth_pools.serving.listening import address_of, listen_at, quiet_config
from synth_pools.serving.sleeping_server import SleepingServer

__all__ = ["SleepingServer", "address_of", "listen_at", "quiet_config"]
