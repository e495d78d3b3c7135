"""Kills of a crash run: their victims, and how these return."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence

from tests.support.backend_server import eventually
from tests.support.postgres_server import PostgresServer
from tests.support.ray_cluster import NODES, RayCluster
from tests.system.crash.processes import Serve
from tests.system.crash.started import StartedContainers

BACKEND, DATABASE, NODE = "a backend", "the database", "a Ray node"
# Shares of the victims in a hundred kills, if there are any; the rest are backends.
_SHARES = {DATABASE: 15, "started": 20, "placed": 15, NODE: 15}
# The share of kills before the backend has announced itself.
_EARLY = 0.2
# The share of others whose backend stays away until another one has taken over.
_LATE = 0.3
_AWAY_SECONDS = 8.0
_UP_SECONDS = 180.0


class Victims:
    """Backends, their containers, and the servers that these need.

    Args:
        serves: The backends.
        started: The containers that they have started, by pool.
        server: The server of their database, if that may be killed.
        cluster: The cluster on which some of the containers are.
        wait_for_pool: Returns when a pool is active.
        seed: Seed of the choices.
    """

    def __init__(
        self,
        serves: Sequence[Serve],
        started: Sequence[StartedContainers],
        server: PostgresServer | None,
        cluster: RayCluster | None,
        wait_for_pool: Callable[[str], object],
        seed: int,
    ) -> None:
        self._serves = serves
        self._started = {item.kind: item for item in started}
        self._server = server
        self._cluster = cluster
        self._wait_for_pool = wait_for_pool
        # Its own generator: the victims depend on the seed alone.
        self._kinds = random.Random(seed)
        self._chance = random.Random(f"when {seed}")
        kinds = [*self._started]
        kinds += [DATABASE] if server is not None else []
        kinds += [NODE] if cluster is not None else []
        self._shares = {kind: _SHARES[kind] for kind in kinds}
        self._shares[BACKEND] = 100 - sum(self._shares.values())
        self._kills: Counter[str] = Counter()
        # Backends that were missed by the others before they were there again.
        self.long_away = 0
        # Containers that were there before a node was killed, and were not soon after.
        self.ended_with_nodes = 0

    @property
    def kills(self) -> Counter[str]:
        """Count of kills by what was killed."""
        backends = sum(serve.kills for serve in self._serves)
        return self._kills + Counter({BACKEND: backends})

    @property
    def kills_while_starting(self) -> int:
        return sum(serve.kills_while_starting for serve in self._serves)

    def kill(self) -> None:
        """Kill something at a random moment, and have it back."""
        [kind] = self._kinds.choices([*self._shares], [*self._shares.values()])
        if kind == BACKEND:
            self._kill_backend(self._chance.choice(self._serves))
        elif kind == DATABASE:
            assert self._server is not None
            self._server.stop(signal.SIGQUIT)
            self._server.start()
            self._kills[DATABASE] += 1
        elif kind == NODE:
            self._kill_node()
        else:
            self._kill_container(self._started[kind])

    def _kill_backend(self, serve: Serve) -> None:
        """Kill what runs, and start it again; sometimes kill it in its start, or start it late."""
        self._pause(1.5)
        serve.kill()
        if self._chance.random() < _EARLY:
            serve.start(wait=False)
            self._pause(1.5)
            serve.kill()
            serve.kills_while_starting += 1
        elif len(self._serves) > 1 and self._chance.random() < _LATE:
            time.sleep(_AWAY_SECONDS)
            self.long_away += 1
        serve.start()

    def _kill_container(self, containers: StartedContainers) -> None:
        self._wait_for_pool(containers.kind)
        self._pause(0.5)
        self._kills[containers.kind] += containers.kill_one(self._chance)

    def _kill_node(self) -> None:
        """Kill a node that is not the head, and let some time pass without it."""
        assert self._cluster is not None
        containers = self._started["placed"]
        # Then each node has some.
        before = eventually(lambda: _if_all_are_up(containers), _UP_SECONDS)
        self._pause(0.5)
        node = self._chance.choice(NODES[1:])
        self._cluster.kill(node)
        self._kills[NODE] += 1
        self._pause(1.5)
        self._cluster.add(node)
        after = {item.pid for item in containers.running()}
        self.ended_with_nodes += len(before - after)

    def _pause(self, most_seconds: float) -> None:
        time.sleep(self._chance.uniform(0.1, most_seconds))


def _if_all_are_up(containers: StartedContainers) -> set[int] | None:
    running = {item.pid for item in containers.running()}
    return running if len(running) >= containers.capacity else None
