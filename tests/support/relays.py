"""Relay in a thread, with the steps that it records in a list."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from synth_pools.relay import EpisodeLimits, ModelPrice, ModelRelay, RelaySession, relay_server

T = TypeVar("T")


@dataclass
class Steps:
    """Recorder that keeps messages, and what is said of them."""

    tool_definitions: Any = None
    added: list[tuple[dict[str, Any], dict[str, Any]]] = field(default_factory=list)

    def add_message(self, message: Mapping[str, Any], **fields: Any) -> None:
        """Keep a message, of which there is no step to show."""
        self.added.append((dict(message), fields))

    @property
    def texts(self) -> list[tuple[str, Any]]:
        return [(message["role"], message.get("content")) for message, _ in self.added]

    @property
    def calls(self) -> list[dict[str, Any]]:
        """Fields of the steps of calls, in order."""
        return [fields for message, fields in self.added if "model_name" in fields]


@dataclass
class Running:
    """Relay that runs, with a session."""

    address: str
    relay: ModelRelay
    loop: asyncio.AbstractEventLoop
    session: RelaySession
    steps: Steps

    @property
    def base_url(self) -> str:
        return f"{self.address}/r/{self.session.token}/v1"

    def session_of(
        self,
        url: str,
        key: str | None = None,
        limits: EpisodeLimits | None = None,
        prices: Mapping[str, ModelPrice] | None = None,
    ) -> Running:
        """Open a further session."""
        return self.do(
            lambda: _session(self.address, self.relay, self.loop, url, key, limits, prices)
        )

    def do(self, work: Callable[[], T]) -> T:
        """Do something in the loop of the relay."""

        async def run() -> T:
            return work()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(30)


def _session(
    address: str,
    relay: ModelRelay,
    loop: asyncio.AbstractEventLoop,
    url: str,
    key: str | None = None,
    limits: EpisodeLimits | None = None,
    prices: Mapping[str, ModelPrice] | None = None,
) -> Running:
    steps = Steps()
    session = RelaySession(relay.upstream(url, key), steps, limits, prices)
    relay.open(session)
    return Running(address, relay, loop, session, steps)


@contextlib.contextmanager
def running_relay(
    url: str,
    key: str | None = None,
    limits: EpisodeLimits | None = None,
    prices: Mapping[str, ModelPrice] | None = None,
) -> Iterator[Running]:
    """Run a relay with a session whose upstream is at an address."""
    started: concurrent.futures.Future[tuple[Running, asyncio.Event]] = concurrent.futures.Future()

    async def serve() -> None:
        ending = asyncio.Event()
        relay, loop = ModelRelay(), asyncio.get_running_loop()
        async with relay_server(relay) as address:
            running = _session(address, relay, loop, url, key, limits, prices)
            started.set_result((running, ending))
            await ending.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    running, ending = started.result(30)
    try:
        yield running
    finally:
        running.loop.call_soon_threadsafe(ending.set)
        thread.join(30)
