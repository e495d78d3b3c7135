"""A Ray cluster, used by the backend through a driver, which is restarted after a loss."""

from __future__ import annotations

import asyncio
import importlib.util
import itertools
import json
import logging
import subprocess
import sys
from collections import deque
from collections.abc import Mapping
from typing import Any

from synth_pools._version import __version__
from synth_pools.backend.errors import ClusterError
from synth_pools.backend.processes.child import beside_others
from synth_pools.backend.processes.termination import end_helper, write_to
from synth_pools.backend.resources.workers import helper_environment

_log = logging.getLogger(__name__)

_DRIVER = "synth_pools.backend.processes.ray_cluster.driver"

# Variables that Ray and its connections read.
_PROXIES = ("http_proxy", "https_proxy", "no_proxy", "grpc_proxy", "no_grpc_proxy")
_OF_RAY = ("RAY_*", "GRPC_*", *_PROXIES)

# Time limit of a connection, with its repetitions. A cluster starts a program for each driver that
# is not on one of its nodes, gives up after 30 seconds, and is often too busy for that.
CONNECT_SECONDS = 120.0
_CALL_SECONDS = 15.0
# Added to the time limit of a `place` request.
_PLACE_SECONDS = 60.0
_CLOSE_SECONDS = 5.0
_SHORTEST_PAUSE = 0.5
_LONGEST_PAUSE = 5.0

_LONGEST_ANSWER = 16 * 1024 * 1024
_LINES_KEPT = 20


class ClusterGoneError(ConnectionError):
    """The cluster does not answer now; it may be back later."""


class ClusterBusyError(ClusterGoneError):
    """The cluster answers, and did not start in time what a connection needs there."""


class RayCluster:
    """A cluster that containers are placed on.

    Args:
        address: Its address: `auto`, `HOST:PORT` or `ray://HOST:PORT`.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._process: asyncio.subprocess.Process | None = None
        self._connected = asyncio.Event()
        self._numbers = itertools.count()
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._complaints: deque[str] = deque(maxlen=_LINES_KEPT)
        self._task: asyncio.Task[None] | None = None
        self._listening: asyncio.Task[None] | None = None
        self._problem = "it was not looked for yet"

    async def open(self) -> None:
        """Connect.

        Raises:
            ClusterError: The cluster cannot be used.
        """
        if importlib.util.find_spec("ray") is None:
            raise ClusterError("ray: needs the extra `ray`: pip install 'synth-pools[local,ray]'")
        deadline = asyncio.get_running_loop().time() + CONNECT_SECONDS
        try:
            process = await self._connect_until(deadline)
        except ClusterGoneError as error:
            raise ClusterError(
                f"ray: the Ray cluster at {self._address} cannot be used: {error}; give the "
                "address of one that runs, such as ray://HOST:10001, or do without the option"
            ) from None
        self._task = asyncio.create_task(self._stay_connected(process), name="synth-pools-ray")

    async def close(self) -> None:
        """Disconnect from the cluster; containers go on running there."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._end_driver()

    async def place(
        self, name: str, options: Mapping[str, Any], order: str, limit_seconds: float
    ) -> dict[str, Any]:
        """Place an actor on a node, and start the supervisor of an order there.

        Args:
            name: The name of the actor.
            options: The options of the actor, by Ray's names.
            order: The order, as JSON.
            limit_seconds: The time limit, including a wait for the cluster.

        Returns:
            The address of the supervisor, or an error under `problem`.

        Raises:
            OSError: The cluster is out of reach, or the request failed.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + limit_seconds
        try:
            async with asyncio.timeout_at(deadline):
                await self._connected.wait()
        except TimeoutError:
            raise self._gone() from None
        limit = max(1.0, deadline - loop.time())
        arguments = {
            "name": name,
            "options": dict(options),
            "order": order,
            "version": __version__,
            "limit_seconds": limit,
        }
        placed: dict[str, Any] = await self._call("place", limit + _PLACE_SECONDS, arguments)
        return placed

    async def remove(self, name: str) -> None:
        """Kill an actor, if it exists; raise `OSError` if that is not possible."""
        await self._call("remove", _CALL_SECONDS, {"name": name})

    async def names(self, beginning: str) -> list[str]:
        """Return the names of actors with a prefix; raise `OSError` if that is not possible."""
        names: list[str] = await self._call("names", _CALL_SECONDS, {"beginning": beginning})
        return names

    async def _call(self, call: str, limit_seconds: float, arguments: Mapping[str, Any]) -> Any:
        process = self._process
        if not self._connected.is_set() or process is None or process.stdin is None:
            raise self._gone()
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        try:
            request = {**arguments, "id": number, "call": call}
            write_to(process, f"{json.dumps(request)}\n".encode())
            async with asyncio.timeout(limit_seconds):
                await process.stdin.drain()
                return await answer
        except TimeoutError:
            raise ClusterGoneError("the Ray cluster did not answer in time") from None
        finally:
            del self._answers[number]

    async def _stay_connected(self, process: asyncio.subprocess.Process | None) -> None:
        pause = _SHORTEST_PAUSE
        while True:
            if process is not None:
                pause = _SHORTEST_PAUSE
                try:
                    await self._read(process)
                except (ValueError, KeyError) as error:
                    self._problem = f"its driver answered nonsense: {error!r}"
                await self._end_driver()
                _log.warning("the Ray cluster is gone, and looked for again: %s", self._problem)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            try:
                process = await self._connect(CONNECT_SECONDS)
                _log.info("the Ray cluster at %s is back", self._address)
            except Exception as error:  # noqa: BLE001 - it is tried again
                process, self._problem = None, str(error)

    async def _connect_until(self, deadline: float) -> asyncio.subprocess.Process:
        """Connect, again while the cluster is too busy; raise `ClusterGoneError` otherwise."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                return await self._connect(deadline - loop.time())
            except ClusterBusyError as error:
                if loop.time() + _LONGEST_PAUSE >= deadline:
                    raise
                _log.warning("the Ray cluster is too busy; it is tried again: %s", error)
            await asyncio.sleep(_LONGEST_PAUSE)

    async def _connect(self, limit_seconds: float) -> asyncio.subprocess.Process:
        """Start a driver, and return it once connected, or raise `ClusterGoneError`."""
        self._complaints.clear()
        try:
            process = self._process = await beside_others(
                asyncio.create_subprocess_exec,
                sys.executable,
                # No module of the current directory is imported.
                "-P",
                "-m",
                _DRIVER,
                self._address,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**helper_environment(*_OF_RAY), "RAY_USAGE_STATS_ENABLED": "0"},
                limit=_LONGEST_ANSWER,
                # ^C in our terminal must reach us alone.
                start_new_session=True,
            )
        except OSError as error:
            raise ClusterGoneError(f"its driver cannot be started: {error}") from error
        self._listening = asyncio.create_task(self._read_complaints(process))
        try:
            async with asyncio.timeout(limit_seconds):
                answer = await self._next_answer(process)
        except TimeoutError:
            await self._end_driver(0.0)
            raise ClusterGoneError(f"no answer within {limit_seconds:.0f} seconds") from None
        except BaseException:
            await self._end_driver()
            raise
        if "ready" not in answer:
            await self._end_driver()
            raise (ClusterBusyError if answer.get("busy") else ClusterGoneError)(answer["problem"])
        self._connected.set()
        return process

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        """Read answers until the driver has lost the cluster, or ended."""
        while "problem" not in (answer := await self._next_answer(process)):
            future = self._answers.get(answer["id"])
            if future is None or future.done():
                continue
            if "error" in answer:
                future.set_exception(OSError(answer["error"]))
            else:
                future.set_result(answer["result"])
        self._problem = answer["problem"]

    async def _next_answer(self, process: asyncio.subprocess.Process) -> dict[str, Any]:
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        line = await process.stdout.readline()
        if line:
            answer: dict[str, Any] = json.loads(line)
            return answer
        if self._listening is not None:
            await asyncio.wait([self._listening], timeout=1.0)
        last = next(iter(reversed(self._complaints)), "it did not say why")
        return {"problem": f"its driver has ended: {last}"}

    async def _read_complaints(self, process: asyncio.subprocess.Process) -> None:
        stream = process.stderr
        assert stream is not None  # noqa: S101 - a pipe was asked for
        while line := await stream.readline():
            text = line.decode("utf-8", "replace").strip()
            if text:
                self._complaints.append(text[:500])
                _log.debug("driver of the Ray cluster: %s", text)

    async def _end_driver(self, patience_seconds: float = _CLOSE_SECONDS) -> None:
        self._connected.clear()
        process, self._process = self._process, None
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(self._gone())
        if process is None:
            return
        try:
            await end_helper(process, patience_seconds)
        finally:
            if self._listening is not None:
                self._listening.cancel()

    def _gone(self) -> ClusterGoneError:
        return ClusterGoneError(f"the Ray cluster at {self._address} is gone: {self._problem}")
