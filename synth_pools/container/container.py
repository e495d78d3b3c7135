"""Container that runs rollouts with a function."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gc
import inspect
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from synth_pools.container.ends import SetupError, end_setup
from synth_pools.container.episodes import Definition, Episodes

if TYPE_CHECKING:
    from starlette.applications import Starlette

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class PlayedRollout:
    """End of a rollout that `Container.test` has played.

    Attributes:
        status: `completed`, `failed` or `timeout`.
        reward: The reward; None where it has none.
        detail: The sentence of a failure.
        metrics: The numbers of the answer.
        usage: The usage.
        events: The events, in their order.
        artifacts: Contents by name: texts, or bytes; `log.txt` is what it has printed.
        answer: All of the answer that a pool would get.
    """

    status: str
    reward: float | None
    detail: str | None
    metrics: dict[str, Any]
    usage: dict[str, Any]
    events: list[dict[str, Any]]
    artifacts: dict[str, str | bytes]
    answer: dict[str, Any]


class Container(Definition):
    """Container whose rollouts are played by a function.

    Args:
        name: The name.
        description: A sentence about it.
        tasks: The ids of its tasks, or a mapping from ids to their metadata, or a function that
            lists them, async or not, which is called once before the first rollout. A rollout of
            another task fails.
        prices: Prices by model, `*` for any other one: dollars for a million tokens of `input`,
            `output` and, if that differs, `cached`, for `rollout.model_url` where the server says
            no cost.
        info: Further fields of its description.
        program: The description of its program, if it has one.
        concurrency: The most rollouts at a time; others wait.
        keep_seconds: The time for which the end of a rollout is remembered.

    Raises:
        ValueError: The name is empty, a number is not positive, or a price is missing.
    """

    def __repr__(self) -> str:
        return f"Container({self.name!r})"

    def rollout(self, function: F) -> F:
        """Have a function play the rollouts: the decorator `@container.rollout`.

        An async function is cancelled when its rollout is; a plain one runs in a thread, and stops
        when it next reports something, or by itself where it looks at `rollout.is_cancelled`.

        Args:
            function: Takes a `Rollout`, and returns a `Result`, a number or None.

        Raises:
            TypeError: It is a generator.
        """
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(f"{function.__name__} is a generator: return a Result, yield nothing.")
        self.on_rollout = function
        return function

    def setup(self, function: F) -> F:
        """Have a function called before the first rollout: the decorator `@container.setup`."""
        self.on_setup = function
        return function

    def shutdown(self, function: F) -> F:
        """Have a function called after the last rollout: the decorator `@container.shutdown`."""
        self.on_shutdown = function
        return function

    @cached_property
    def app(self) -> Starlette:
        """The ASGI application, for a server of your own."""
        # The server is needed here and below alone.
        from synth_pools.container.app import container_app

        return container_app(self)

    def serve(
        self, *, port: int | None = None, host: str | None = None, drain_seconds: float = 30.0
    ) -> None:
        """Serve until SIGTERM or SIGINT, and then until the running rollouts have ended.

        Args:
            port: The port; 9000 if it is None. `PORT` in the environment comes first, since a pool
                that starts the container chooses it.
            host: The address; `HOST` in the environment, or 127.0.0.1 if it is None.
            drain_seconds: The time that running rollouts have after the signal. A second signal
                ends it.

        Raises:
            SystemExit: The container cannot start; the reason is on the standard error.
        """
        # As above.
        from synth_pools.container.serving import listen, serve_container
        from synth_pools.serving import address_of

        try:
            with listen(host, port) as listener:

                def start(_: object) -> None:
                    # Modules stay: a search for garbage among them costs more than an episode.
                    gc.freeze()
                    print(f"{self.name}: {address_of(listener)}", flush=True)  # noqa: T201

                asyncio.run(serve_container(self, listener, start, drain_seconds))
        except SetupError as error:
            end_setup(str(error))
        except OSError as error:
            sys.exit(str(error))

    def running(
        self, *, port: int = 0, host: str = "127.0.0.1"
    ) -> contextlib.AbstractContextManager[str]:
        """Serve in a thread of this program; the value is the address.

        Args:
            port: The port; 0 for any that is free.
            host: The address to listen at.

        Raises:
            SetupError: The container cannot start.
            OSError: The address cannot be listened at.
        """
        # As above.
        from synth_pools.container.serving import served_in_thread

        return served_in_thread(self, host, port)

    def test(self, task_id: str | None = None, **request: Any) -> PlayedRollout:
        """Play one rollout in this process, without a server, for example in a unit test.

        Args:
            task_id: The task.
            request: `seed`, `env`, `policy`, `params`, `limits` and others, as in a request.

        Raises:
            SetupError: The container cannot start.
        """
        # As above.
        from synth_pools.container.serving import in_container_thread

        if task_id is not None:
            request["task_id"] = task_id
        # Also where the caller runs in an event loop.
        return in_container_thread(_play(self, request)).result()


async def _play(definition: Definition, request: Mapping[str, Any]) -> PlayedRollout:
    episodes = Episodes(definition)
    async with episodes.open():
        episode = episodes.submit(request)
        await episode.ended.wait()
    answer: dict[str, Any] = json.loads(episode.state())
    return PlayedRollout(
        status=answer["status"],
        reward=answer["metrics"].get("outcome_reward"),
        detail=answer["status_detail"],
        metrics=answer["metrics"],
        usage=answer["usage"],
        events=[json.loads(text) for text in episode.events(0, answer["event_count"])[0]],
        artifacts={item["artifact_name"]: _content_of(item) for item in answer["artifacts"]},
        answer=answer,
    )


def _content_of(artifact: Mapping[str, Any]) -> str | bytes:
    content: str = artifact["content"]
    return base64.b64decode(content) if "content_encoding" in artifact else content
