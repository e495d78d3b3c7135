"""Models of policies: their servers, and addresses for a rollout alone that record its calls."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
from collections.abc import Collection, Coroutine, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from synth_pools.container.atif import step_event
from synth_pools.container.rollout import EpisodeError, Rollout

if TYPE_CHECKING:
    from synth_pools.relay import ModelRelay, RelaySession

_log = logging.getLogger(__name__)

T = TypeVar("T")

KEY_VARIABLE = "OPENAI_API_KEY"
URL_VARIABLE = "OPENAI_BASE_URL"
_START_SECONDS = 30.0
_ENDLESS = (
    "rollout %s: limits.%s ends nothing, since the server says no %s of the model %r. "
    "Set limits.max_turns, too, or have the server say it."
)
_END_SECONDS = 1.0


def server_of(
    policy: Mapping[str, Any], variables: Mapping[str, str] = os.environ
) -> tuple[str, str]:
    """Return the address of the server of a policy's model, and its key, which may be empty.

    The key is `OPENAI_API_KEY` of the container. Where its `OPENAI_BASE_URL` is set, only a server
    of that origin gets the key: a rollout may name any address.

    Raises:
        EpisodeError: The policy has no address.
    """
    own_url = variables.get(URL_VARIABLE, "")
    url = policy.get("inference_url") or own_url
    if not isinstance(url, str) or _origin(url) is None:
        raise EpisodeError(
            "The policy has no address of a model: `inference_url` is one such as "
            "http://127.0.0.1:8000/v1."
        )
    key = variables.get(KEY_VARIABLE, "")
    if own_url and _origin(own_url) != _origin(url):
        key = ""
    return url.rstrip("/"), key


def _origin(url: str) -> tuple[str, str, int | None] | None:
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        return None
    return parts.scheme, parts.hostname, port


class RecordedModels:
    """Relay of a container, which runs from the first rollout on that needs it.

    It lives in the event loop that serves requests, which no function of a rollout blocks.

    Args:
        prices: The prices of models.
    """

    def __init__(self, prices: Mapping[str, Mapping[str, float]]) -> None:
        self._prices = prices
        self._loop = asyncio.get_running_loop()
        self._stack = contextlib.AsyncExitStack()
        self._opening = threading.Lock()
        self._relay: ModelRelay | None = None
        self._address = ""
        self._sessions: dict[Rollout, RelaySession] = {}

    def open(self, rollout: Rollout, limits: Collection[str]) -> str:
        """Return the address of a rollout's model, from any other thread.

        Args:
            rollout: The rollout.
            limits: The names of the limits that calls have, at its first use.

        Raises:
            EpisodeError: The policy has no address, a limit is no number, or the proxy of the
                environment is none of HTTP.
        """
        # Needed here alone, as what serves a container is.
        from synth_pools.relay import EpisodeLimits, ModelPrice, RelaySession

        with self._opening:
            if (session := self._sessions.get(rollout)) is None:
                url, key = server_of(rollout.policy)
                limited = EpisodeLimits(**{name: rollout.limit(name) for name in limits})
                # To go to its thread takes longer than all else here.
                relay = self._relay or self._in_loop(self._start())
                try:
                    upstream = relay.upstream(url, key or None)
                except ValueError as error:
                    raise EpisodeError(str(error)) from None
                session = self._sessions[rollout] = RelaySession(
                    upstream,
                    rollout.trajectory,
                    limited,
                    {model: ModelPrice(**costs) for model, costs in self._prices.items()},
                    on_step=partial(_show, rollout),
                    on_endless=partial(_log.warning, _ENDLESS, rollout.id),
                    on_refusal=partial(setattr, rollout, "refusal"),
                )
                session.mask.add(os.environ.get(KEY_VARIABLE, ""))
                rollout.mask = session.mask
                relay.open(session)
        if rollout.is_cancelled:
            self.end_from_thread(rollout)
            raise EpisodeError("The rollout was cancelled.")
        return f"{self._address}/r/{session.token}/v1"

    async def _start(self) -> ModelRelay:
        # As above.
        from synth_pools.relay import ModelRelay, relay_server

        relay = ModelRelay()
        self._address = await self._stack.enter_async_context(relay_server(relay))
        self._relay = relay
        return relay

    def _in_loop(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_START_SECONDS)

    async def end(self, rollout: Rollout) -> None:
        """End the calls of a rollout, all recorded."""
        session = self._sessions.pop(rollout, None)
        if session is None or self._relay is None:
            return
        tasks = self._relay.end(session)
        if tasks:
            await asyncio.wait(tasks, timeout=_END_SECONDS)
        rollout.estimated_usd = session.estimated_usd

    def end_from_thread(self, rollout: Rollout) -> None:
        """End the calls of a rollout, as `end` does, from any other thread."""
        if rollout in self._sessions:
            self._in_loop(self.end(rollout))

    async def close(self) -> None:
        """End the relay."""
        await self._stack.aclose()


def _show(rollout: Rollout, step: Mapping[str, Any] | None) -> None:
    # It may have been cancelled meanwhile; its steps are recorded all the same.
    with contextlib.suppress(asyncio.CancelledError):
        if step is not None:
            rollout.event(step_event(step))
