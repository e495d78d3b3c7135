"""Ray cluster of three nodes on this machine, in a process of its own.

    python -m tests.support.ray_cluster [COMMAND...]

With a command it runs that with the address of the cluster in SYNTH_POOLS_RAY, and ends with it.
Without one it reads `kill NAME`, `add NAME`, `end` and `begin` from standard input.

Each node has two processors, one of the resource `slot`, and a label `room` with its name.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import IO, Any, Self

from tests.support.ports import EVERYWHERE, HeldPort

ROOT = Path(__file__).resolve().parents[2]
NODES = ("red", "green", "blue")
VARIABLE = "SYNTH_POOLS_RAY"
# Variable of a cluster: how long it waits for the program that serves a driver elsewhere.
SERVER_START_SECONDS = "RAY_CLIENT_SERVER_CHECK_CHANNEL_TIMEOUT_S"
_STORE_BYTES = 80 * 1024 * 1024
_SECONDS = 90.0


class RayCluster:
    """The cluster, for tests that end parts of it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.ray_cluster"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        text = self._read()
        self.address = str(text["address"])
        self.client_address = f"ray://{text['client']}"

    def kill(self, node: str) -> None:
        """Kill a node with SIGKILL, all of its processes at once."""
        self._tell("kill", node)

    def add(self, node: str) -> None:
        """Add a node of this name."""
        self._tell("add", node)

    def end(self) -> None:
        """Kill the whole cluster."""
        self._tell("end")

    def begin(self) -> None:
        """Start a new cluster at the old address."""
        self._tell("begin")

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _tell(self, *words: str) -> None:
        assert self._process.stdin is not None
        print(*words, file=self._process.stdin, flush=True)
        self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the cluster did not do as it was told"
        document: dict[str, Any] = json.loads(line)
        return document


class _Nodes:
    """The nodes, in the process that runs them."""

    def __init__(self) -> None:
        # Ray gives way to all else, and this machine may have other work.
        os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
        os.environ.setdefault(SERVER_START_SECONDS, "90")
        # In this process alone: the import takes seconds and has side effects.
        from ray.cluster_utils import Cluster

        self._port, self._client = HeldPort.kept(EVERYWHERE), HeldPort.kept(EVERYWHERE)
        self._make = Cluster
        self.begin()

    @property
    def document(self) -> dict[str, Any]:
        address = self._cluster.address
        host = address.rpartition(":")[0]
        return {"address": address, "client": f"{host}:{self._client.number}"}

    def begin(self) -> None:
        head = {**_node_options(NODES[0]), "gcs_server_port": self._port.number}
        head |= {"include_dashboard": False, "ray_client_server_port": self._client.number}
        self._cluster = self._make(initialize_head=True, head_node_args=head)
        for name in NODES[1:]:
            self.add(name)

    def add(self, name: str) -> None:
        self._cluster.add_node(**_node_options(name))

    def kill(self, name: str) -> None:
        for node in list(self._cluster.worker_nodes):
            if node._ray_params.node_name == name:
                self._cluster.remove_node(node, allow_graceful=False)

    def end(self) -> None:
        self._cluster.shutdown()


def _node_options(name: str) -> dict[str, Any]:
    return {
        "num_cpus": 2,
        "resources": {"slot": 1},
        "labels": {"room": name},
        "node_name": name,
        "object_store_memory": _STORE_BYTES,
    }


def _run(command: list[str], address: str, output: IO[str]) -> int:
    """Run a command with the cluster; a ^C is for it as well, and it ends in its own time."""
    variables = {**os.environ, VARIABLE: address}
    with subprocess.Popen(command, env=variables, stdout=output) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.wait(_SECONDS)
            return 130


def main(command: list[str]) -> int:
    if command:
        print(f"A Ray cluster of {len(NODES)} nodes is started ...", flush=True)
    # Ray's output goes to standard error.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    nodes = _Nodes()
    try:
        if command:
            return _run(command, nodes.document["address"], answers)
        print(json.dumps(nodes.document), file=answers, flush=True)
        for line in sys.stdin:
            verb, *names = line.split()
            getattr(nodes, verb)(*names)
            print("{}", file=answers, flush=True)
        return 0
    finally:
        nodes.end()


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        # Ray ends the nodes that it has started.
        sys.exit(130)
