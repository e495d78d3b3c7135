"""Driver of a Ray cluster: a program that the backend starts.

    python -m synth_pools.backend.processes.ray_cluster.driver ADDRESS

Ray ends the process of a driver that has lost its cluster, handles its signals, and writes to its
terminal. The backend must not suffer this, and starts a new driver instead. Requests and answers
are lines of JSON; the driver ends when its standard input ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

import ray
import ray.cloudpickle
from ray.util import list_named_actors

from synth_pools.backend.processes.ray_cluster import actor

NAMESPACE = "synth-pools"

# Interval of the checks of the cluster, and the time limit of a check.
_LOOK_SECONDS = 3.0
_LOST_SECONDS = 10.0
# Additional wait for an actor if a node has enough resources.
_LONGER_SECONDS = 30.0
_SHUTDOWN_SECONDS = 3.0
_CONNECT_SECONDS = 5.0


class ClusterDriver:
    """Driver that answers the requests of the backend."""

    def __init__(self, write: Callable[[Mapping[str, Any]], None]) -> None:
        self._write = write
        ray.cloudpickle.register_pickle_by_value(actor)
        self._actors = ray.remote(actor.ContainerActor)
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, request: dict[str, Any]) -> None:
        """Start a task that answers a request."""
        task = asyncio.create_task(self._answer(request.pop("id"), request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, number: int, request: dict[str, Any]) -> None:
        calls: dict[str, Callable[..., Awaitable[Any]]] = {
            "place": self._place,
            "remove": self._remove,
            "names": self._names,
        }
        try:
            answer = {"result": await calls[request.pop("call")](**request)}
        except Exception as error:  # noqa: BLE001 - every error is reported to the backend
            answer = {"error": _one_line(error)}
        self._write({"id": number, **answer})

    async def _place(
        self, name: str, options: dict[str, Any], order: str, version: str, limit_seconds: float
    ) -> dict[str, Any]:
        """Place an actor, and start its supervisor there."""
        options = {key: value for key, value in options.items() if value is not None}

        def create() -> Any:
            container = self._actors.options(
                name=name,
                namespace=NAMESPACE,
                lifetime="detached",
                max_restarts=0,
                scheduling_strategy="SPREAD",
                **options,
            ).remote()
            return container.start.remote(order, version).future()

        try:
            placing = asyncio.wrap_future(await asyncio.to_thread(create))
            await asyncio.wait([placing], timeout=limit_seconds)
            if not placing.done() and await asyncio.to_thread(_able_nodes, options) > 0:
                # Other actors may end soon, and a busy node starts an actor slowly.
                await asyncio.wait([placing], timeout=_LONGER_SECONDS)
            if not placing.done():
                await self._remove(name)
                return {"problem": await asyncio.to_thread(_why_not_placed, options)}
            place: dict[str, Any] = await placing
        except BaseException:
            await self._remove(name)
            raise
        nodes = await asyncio.to_thread(ray.nodes)
        names = {node["NodeID"]: _name_of(node) for node in nodes}
        return {**place, "node": names.get(place["node_id"])}

    async def _remove(self, name: str) -> None:
        def remove() -> None:
            # The actor may have ended already.
            with contextlib.suppress(ValueError):
                ray.kill(ray.get_actor(name, namespace=NAMESPACE))

        await asyncio.to_thread(remove)

    async def _names(self, beginning: str) -> list[str]:
        actors = await asyncio.to_thread(list_named_actors, all_namespaces=True)
        names = (entry["name"] for entry in actors if entry["namespace"] == NAMESPACE)
        return [name for name in names if name.startswith(beginning)]


def _name_of(node: Mapping[str, Any]) -> str:
    """Return the name of a node, or of its machine."""
    name, host = str(node["NodeName"]), str(node["NodeManagerHostname"])
    return host if name in ("", node["NodeManagerAddress"]) else name


def _required_resources(options: Mapping[str, Any]) -> dict[str, float]:
    resources = {"CPU": options.get("num_cpus"), "GPU": options.get("num_gpus")}
    resources.update(options.get("resources") or {})
    return {name: amount for name, amount in resources.items() if amount}


def _able_nodes(options: Mapping[str, Any]) -> int:
    """Count the nodes with the resources of an actor, whether free or used."""
    required, labels = _required_resources(options), options.get("label_selector") or {}
    return sum(
        node["Alive"]
        and all(node["Resources"].get(name, 0) >= amount for name, amount in required.items())
        and all(node["Labels"].get(name) == value for name, value in labels.items())
        for node in ray.nodes()
    )


def _why_not_placed(options: Mapping[str, Any]) -> str:
    """Return an error message for an actor without a node."""
    needs = [f"{name}: {amount:g}" for name, amount in _required_resources(options).items()]
    labels = options.get("label_selector") or {}
    needs += [f"{name}={value}" for name, value in labels.items()]
    description = ", ".join(needs) or "room"
    if able := _able_nodes(options):
        return f"the nodes of the Ray cluster that have {description} are full: {able}"
    return f"no node of the Ray cluster has {description}"


def _check_reachable(address: str) -> None:
    """Check that a program listens at an address: Ray itself would try for a minute.

    Raises:
        ConnectionError: No program listens.
    """
    if address == "auto":
        return
    parts = urlsplit(f"//{address.removeprefix('ray://')}")
    try:
        socket.create_connection((parts.hostname, parts.port), _CONNECT_SECONDS).close()
    except (OSError, ValueError) as error:
        raise ConnectionError(f"nobody answers there ({error})") from error


def _one_line(error: BaseException) -> str:
    """Return an error of Ray without its traceback, whose last line is the reason of some."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    first = (lines or [type(error).__name__])[0]
    return (f"{first} {lines[-1]}" if first.endswith(":") and len(lines) > 1 else first)[:500]


async def _drive(requests: Iterable[bytes], write: Callable[[Mapping[str, Any]], None]) -> None:
    driver = ClusterDriver(write)
    loop = asyncio.get_running_loop()
    input_ended = asyncio.Event()

    def read() -> None:
        for line in requests:
            loop.call_soon_threadsafe(driver.take, json.loads(line))
        loop.call_soon_threadsafe(input_ended.set)

    threading.Thread(target=read, daemon=True).start()
    while not input_ended.is_set():
        # A call to a lost cluster may never return.
        async with asyncio.timeout(_LOST_SECONDS):
            nodes = await asyncio.to_thread(ray.nodes)
        if not any(node["Alive"] for node in nodes):
            raise ConnectionError("it has no nodes any more")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_SECONDS):
                await input_ended.wait()


def _main(address: str) -> None:
    """Connect to a cluster, and answer requests until the end of the input."""
    # Output of Ray must not mix with the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    lock = threading.Lock()

    def write(answer: Mapping[str, Any]) -> None:
        with lock:
            answers.write(f"{json.dumps(answer)}\n".encode())
            answers.flush()

    try:
        _check_reachable(address)
        ray.init(
            address=address,
            namespace=NAMESPACE,
            log_to_driver=False,
            configure_logging=True,
            logging_level="ERROR",
        )
        write({"ready": ray.__version__})
        # The loop is never closed: that would wait for calls that never return.
        asyncio.new_event_loop().run_until_complete(_drive(sys.stdin.buffer, write))
    except BaseException as error:  # noqa: BLE001 - every error is reported to the backend
        with contextlib.suppress(OSError):
            # Ray's words for the server of a driver that did not start, or not in time.
            failures = ("Proxy failed to Connect to backend", "Starting Ray client server failed")
            busy = any(failure in str(error) for failure in failures)
            write({"problem": _one_line(error), "busy": busy})
    # The shutdown may wait for a lost cluster.
    leaving = threading.Thread(target=ray.shutdown, daemon=True)
    leaving.start()
    leaving.join(_SHUTDOWN_SECONDS)
    os._exit(0)


if __name__ == "__main__":
    _main(sys.argv[1])
