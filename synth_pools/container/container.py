"""Container that runs rollouts with a function."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import inspect
import json
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from synth_pools.container.ends import SetupError
from synth_pools.container.episodes import Definition, Episodes, Tasks

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
        artifacts: Contents by name: texts, or bytes.
        log: What it has printed.
        answer: All of the answer that a pool would get.
    """

    status: str
    reward: float | None
    detail: str | None
    metrics: dict[str, Any]
    usage: dict[str, Any]
    events: list[dict[str, Any]]
    artifacts: dict[str, str | bytes]
    log: str
    answer: dict[str, Any]


class Container:
    """Container whose rollouts are played by a function.

    Args:
        name: The name.
        description: A sentence about it.
        tasks: The ids of its tasks, or a mapping from ids to their metadata, or a function that
            lists them, async or not, which is called once before the first rollout. A rollout of
            another task fails.
        info: Further fields of its description.
        program: The description of its program, if it has one.
        concurrency: The most rollouts at a time; others wait.
        keep_seconds: The time for which the end of a rollout is remembered.

    Raises:
        ValueError: The name is empty, or a number is not positive.
    """

    def __init__(
        self,
        name: str,
        *,
        description: str | None = None,
        tasks: Tasks | Callable[[], Any] | None = None,
        info: Mapping[str, Any] | None = None,
        program: Mapping[str, Any] | None = None,
        concurrency: int = 100,
        keep_seconds: float = 600.0,
    ) -> None:
        if not name:
            raise ValueError("The name of a container is empty.")
        if concurrency < 1 or keep_seconds <= 0:
            raise ValueError("concurrency and keep_seconds are positive numbers.")
        self._definition = Definition(
            name, description, tasks, dict(info or {}), program, concurrency, keep_seconds
        )

    def __repr__(self) -> str:
        return f"Container({self.name!r})"

    @property
    def name(self) -> str:
        """The name."""
        return self._definition.name

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
        self._definition.play = function
        return function

    def setup(self, function: F) -> F:
        """Have a function called before the first rollout: the decorator `@container.setup`."""
        self._definition.set_up = function
        return function

    def shutdown(self, function: F) -> F:
        """Have a function called after the last rollout: the decorator `@container.shutdown`."""
        self._definition.shut_down = function
        return function

    @cached_property
    def app(self) -> Starlette:
        """The ASGI application, for a server of your own."""
        # Neither tests nor programs that only define a container need it.
        from synth_pools.container.app import container_app

        return container_app(self._definition)

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
        # The server is needed here alone.
        from synth_pools.container.serving import serve_until_signal

        try:
            serve_until_signal(self._definition, host, port, drain_seconds)
        except (SetupError, OSError, ValueError) as error:
            print(error, file=sys.stderr, flush=True)  # noqa: T201
            raise SystemExit(1) from None

    @contextlib.contextmanager
    def running(self, *, port: int = 0, host: str = "127.0.0.1") -> Iterator[str]:
        """Serve in a thread of this program; the value is the address.

        Args:
            port: The port; 0 for any that is free.
            host: The address to listen at.

        Raises:
            RuntimeError: The container cannot start.
            OSError: The address cannot be listened at.
        """
        # The server is needed here alone.
        from synth_pools.container.serving import served_in_thread

        with served_in_thread(self._definition, host, port) as address:
            yield address

    def test(
        self,
        task_id: str | None = None,
        *,
        seed: int | None = None,
        env: Mapping[str, Any] | None = None,
        policy: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        limits: Mapping[str, Any] | None = None,
    ) -> PlayedRollout:
        """Play one rollout in this process, without a server, for example in a unit test.

        Args:
            task_id: The task.
            seed: The seed.
            env: Settings of the environment.
            policy: Settings of the policy.
            params: Further parameters.
            limits: The limits.

        Raises:
            RuntimeError: The container cannot start.
        """
        fields = {"task_id": task_id, "seed": seed, "env": env, "policy": policy}
        fields |= {"params": params, "limits": limits}
        request = {name: value for name, value in fields.items() if value is not None}
        played: list[PlayedRollout | BaseException] = []

        def play() -> None:
            try:
                played.append(asyncio.run(_play(self._definition, request)))
            except BaseException as error:  # noqa: BLE001 - raised in the other thread
                played.append(error)

        # Also where the caller runs in an event loop.
        thread = threading.Thread(target=play, name="container test")
        thread.start()
        thread.join()
        if isinstance(played[0], BaseException):
            raise played[0]
        return played[0]


async def _play(definition: Definition, request: Mapping[str, Any]) -> PlayedRollout:
    runs = Episodes(definition)
    async with runs.open():
        run = runs.submit(request)
        await run.ended.wait()
    answer: dict[str, Any] = json.loads(run.answer)
    artifacts = {item["artifact_name"]: _content_of(item) for item in answer["artifacts"]}
    return PlayedRollout(
        status=answer["status"],
        reward=answer["metrics"].get("outcome_reward"),
        detail=answer["status_detail"],
        metrics=answer["metrics"],
        usage=answer["usage"],
        events=[json.loads(text) for text in run.report.events],
        artifacts=artifacts,
        log=run.report.log,
        answer=answer,
    )


def _content_of(artifact: Mapping[str, Any]) -> str | bytes:
    content: str = artifact["content"]
    return base64.b64decode(content) if "content_encoding" in artifact else content
