"""The client: all operations over one pool of connections."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from synth_pools._client._async.facade.agent_rollouts import AsyncAgentRolloutOperations
from synth_pools._client._async.facade.base import carry_over, shallow_copy
from synth_pools._client._async.facade.containers import AsyncContainerOperations
from synth_pools._client._async.facade.deployments import AsyncDeploymentOperations
from synth_pools._client._async.facade.image_releases import AsyncImageReleaseOperations
from synth_pools._client._async.facade.rollouts import AsyncRolloutOperations
from synth_pools._client._async.facade.runs import AsyncRunOperations
from synth_pools._client._async.facade.service import AsyncServiceOperations
from synth_pools._client._async.facade.siblings import AsyncTaskContainerOperations
from synth_pools._client._async.facade.tasks import AsyncTaskOperations
from synth_pools._client._async.short_names.pools import AsyncPools
from synth_pools._client._async.transport import AsyncTransport
from synth_pools._client.config import (
    DEFAULT_MAX_RETRIES,
    DEFAULT_STREAM_IDLE_TIMEOUT_SECONDS,
    DEFAULT_TIMEOUT_SECONDS,
    NOT_GIVEN,
    ClientConfig,
    NotGiven,
    TimeoutLike,
    check_attribute,
    check_overrides,
    configuration_of,
    resolve_config,
    with_options,
)
from synth_pools._client.http.async_.engine import AsyncCloseable, AsyncHTTPClient
from synth_pools._client.secret import Secret

if TYPE_CHECKING:
    from synth_pools._client._async.namespaces.operations import AsyncOperationsNamespace
    from synth_pools._client._async.short_names.agent_rollouts import AsyncAgentRolloutsNamespace
    from synth_pools._client._async.short_names.metrics import AsyncMetricsNamespace
    from synth_pools._client._async.short_names.rollouts import AsyncRolloutsNamespace
    from synth_pools._client._async.short_names.runs import AsyncRunsNamespace
    from synth_pools._client._async.short_names.tasks import AsyncTasksNamespace
    from synth_pools._client.hooks import OnRequest, OnResponse
    from synth_pools_api.typed._async import AsyncApi

if not TYPE_CHECKING:
    from synth_pools._client._async.facade.base import replaceable
else:  # Type checkers and the reference know this decorator.
    from functools import cached_property as replaceable

N = TypeVar("N")


class AsyncContainerPoolsClient(
    AsyncPools,
    AsyncRunOperations,
    AsyncTaskOperations,
    AsyncRolloutOperations,
    AsyncAgentRolloutOperations,
    AsyncImageReleaseOperations,
    AsyncDeploymentOperations,
    AsyncContainerOperations,
    AsyncTaskContainerOperations,
    AsyncServiceOperations,
    AsyncCloseable,
):
    """Container pools, their tasks, rollouts and metrics.

    Requests and answers are the caller's and the service's own JSON: nothing in them is renamed,
    parsed, defaulted or dropped. An answer without a body is ``{}``.

    One client serves any number of calls over one pool of connections, which opens at the first
    call and closes with a ``with`` block or ``aclose()``.

    Args:
        client: Another client to take the configuration from; no other setting may be given.
        api_key: The bearer key; else the environment variable ``SYNTH_API_KEY``.
        backend_base: URL of the service; else ``base_url``, else the environment variable
            ``SYNTH_BACKEND_URL``, else the hosted service. A trailing ``/``, ``/v1`` or ``/api``
            is cut off.
        base_url: Another name of ``backend_base``.
        timeout: Time limit in seconds for each of connecting, sending and waiting for an answer,
            of each attempt; an `httpx.Timeout` has one for each; None for no limit.
        timeout_seconds: Another name of ``timeout``; wins over it.
        max_retries: How often a request may be repeated, 0 or more. Only what is safe to repeat is
            repeated: reading, replacing and deleting; creating a rollout, under one idempotency
            key; all else only if the service cannot have acted on it. The pause is as long as the
            service asks for, up to 60 seconds, else up to 0.5 seconds, doubled each time, up to 8.
        deadline: Most seconds that a call lasts, with all its attempts; None for no limit. Event
            streams have no such limit.
        stream_idle_timeout: Most seconds of silence on an event stream.
        http_client: An HTTP client of your own, of httpx or httpx2, for proxies, certificates and
            the like. It is not closed with this one; its time limits and its authentication are not
            used.
        on_request: Called with a `RequestInfo` before each attempt is sent.
        on_response: Called with a `ResponseInfo` when each attempt has ended. Errors of these
            hooks are logged and ignored.

    Attributes:
        rollouts: The rollouts of one pool.
        agent_rollouts: Rollouts without naming their pool.
        tasks: The tasks of a pool.
        metrics: The load of pools.
        operations: Any operation by its id, with the service's own bytes.

    Raises:
        ConfigurationError: A setting is missing or cannot be used. It is also a `ValueError`.
    """

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        check_overrides(cls)

    # Outside of the dictionary of attributes, which namespaces share.
    __slots__ = ("_namespaces",)
    _namespaces: dict[Callable[..., object], object]

    def __init__(
        self,
        client: object | None = None,
        /,
        *,
        api_key: str | Secret | None = None,
        backend_base: str | None = None,
        base_url: str | None = None,
        timeout: float | TimeoutLike | None = DEFAULT_TIMEOUT_SECONDS,
        timeout_seconds: float | None = None,
        max_retries: int = DEFAULT_MAX_RETRIES,
        deadline: float | None = None,
        stream_idle_timeout: float = DEFAULT_STREAM_IDLE_TIMEOUT_SECONDS,
        http_client: AsyncHTTPClient | None = None,
        on_request: OnRequest | None = None,
        on_response: OnResponse | None = None,
    ) -> None:
        # First, so that no traceback shows a plain key from this frame, not even one that is in the
        # wrong place.
        api_key = Secret.of(api_key)
        client = configuration_of(client)
        config = resolve_config(
            client,
            api_key=api_key,
            backend_base=backend_base,
            base_url=base_url,
            timeout=timeout,
            timeout_seconds=timeout_seconds,
            max_retries=max_retries,
            deadline=deadline,
            stream_idle_timeout=stream_idle_timeout,
            on_request=on_request,
            on_response=on_response,
        )
        self._transport = AsyncTransport(config, http_client)
        self._namespaces = {}

    @replaceable
    def rollouts(self) -> AsyncRolloutsNamespace:
        """The rollouts of one pool."""
        # Imported on first use, since it takes 2 ms.
        from synth_pools._client._async.short_names.rollouts import AsyncRolloutsNamespace

        return self._namespace(AsyncRolloutsNamespace)

    @replaceable
    def agent_rollouts(self) -> AsyncAgentRolloutsNamespace:
        """Rollouts without naming their pool."""
        # Imported on first use, since it takes 2 ms.
        from synth_pools._client._async.short_names.agent_rollouts import (
            AsyncAgentRolloutsNamespace,
        )

        return self._namespace(AsyncAgentRolloutsNamespace)

    @replaceable
    def tasks(self) -> AsyncTasksNamespace:
        """The tasks of a pool."""
        # Imported on first use, since it takes 2 ms.
        from synth_pools._client._async.short_names.tasks import AsyncTasksNamespace

        return self._namespace(AsyncTasksNamespace)

    @replaceable
    def runs(self) -> AsyncRunsNamespace:
        """The sums of the rollouts of a name."""
        # Imported on first use, since it takes 2 ms.
        from synth_pools._client._async.short_names.runs import AsyncRunsNamespace

        return self._namespace(AsyncRunsNamespace)

    @replaceable
    def metrics(self) -> AsyncMetricsNamespace:
        """The load of pools."""
        # Imported on first use, since it takes 2 ms.
        from synth_pools._client._async.short_names.metrics import AsyncMetricsNamespace

        return self._namespace(AsyncMetricsNamespace)

    @replaceable
    def operations(self) -> AsyncOperationsNamespace:
        """Any operation by its id, with the service's own bytes."""
        # Imported on first use, since it takes 2 ms.
        from synth_pools._client._async.namespaces.operations import AsyncOperationsNamespace

        return self._namespace(AsyncOperationsNamespace)

    @property
    def _config(self) -> ClientConfig:
        return self._transport.config

    def with_options(
        self,
        *,
        timeout: float | TimeoutLike | NotGiven | None = NOT_GIVEN,
        max_retries: int | NotGiven = NOT_GIVEN,
        deadline: float | NotGiven | None = NOT_GIVEN,
        stream_idle_timeout: float | NotGiven = NOT_GIVEN,
        headers: Mapping[str, str] | NotGiven | None = NOT_GIVEN,
        idempotency_key: str | NotGiven | None = NOT_GIVEN,
    ) -> Self:
        """Return this client with other settings, for one call or for many.

        >>> client.with_options(deadline=5, max_retries=0).get_pool("my-pool")

        The returned client has every method of this one, uses the same connections, and costs next
        to nothing. Closing either closes the connections of both. Omitted settings stay.

        Args:
            timeout: Time limit in seconds for each of connecting, sending and waiting for an
                answer, of each attempt; an `httpx.Timeout` has one for each; None for no limit.
            max_retries: How often a request may be repeated, 0 or more.
            deadline: Most seconds that a call lasts, with all its attempts; None for no limit.
                Event streams have no such limit.
            stream_idle_timeout: Most seconds of silence on an event stream.
            headers: Headers to send beside the client's own; None removes former ones.
            idempotency_key: Key for rollouts that are created without a key: repeated calls
                return the rollout of the first call.

        Raises:
            ConfigurationError: A value cannot be used; the message names it.
        """
        config = with_options(
            self._config,
            timeout=timeout,
            max_retries=max_retries,
            deadline=deadline,
            stream_idle_timeout=stream_idle_timeout,
            headers=headers,
            idempotency_key=idempotency_key,
        )
        view = self._with(config)
        # A copy: another thread may make its first namespace meanwhile.
        for kind, namespace in list(self._namespaces.items()):
            if len(vars(namespace)) > 1:
                carry_over(namespace, view._namespace(kind))
        return view

    def _with(self, config: ClientConfig) -> Self:
        view = super()._with(config)
        view._namespaces = {}
        return view

    def _namespace(self, kind: Callable[[Self], N]) -> N:
        """Return the only namespace of a kind: a test may have replaced its methods."""
        namespace = self._namespaces.get(kind)
        if namespace is None:
            # One with this client itself would form a cycle for the garbage collector.
            twin = shallow_copy(self)
            object.__setattr__(twin, "__dict__", self.__dict__)
            twin._namespaces = {}
            namespace = self._namespaces.setdefault(kind, kind(twin))
        return cast("N", namespace)

    if not TYPE_CHECKING:  # For a type checker it would allow any attribute.

        def __setattr__(self, name: str, value: object) -> None:
            check_attribute(type(self), name)
            super().__setattr__(name, value)

    @replaceable
    def api(self) -> AsyncApi:
        """The same operations on models: ``client.api.pools.get_pool(pool_id)`` is a `Pool`."""
        # Imported on first use: it takes 5 ms, and clients of plain JSON do not need it.
        from synth_pools._client._async.typed import api_of

        return self._namespace(api_of)

    @property
    def raw(self) -> Self:
        """This client; the older spelling of direct access."""
        return self

    def __call__(self) -> Self:
        """This client, so that ``client.raw()`` works like ``client.raw``."""
        return self

    @property
    def base_url(self) -> str:
        """Base URL of the service."""
        return self._config.base_url

    @property
    def backend_base(self) -> str:
        """Another name of `base_url`."""
        return self.base_url

    @property
    def timeout(self) -> float | TimeoutLike | None:
        """Time limit of a request in seconds, or of its phases; None for no limit."""
        return self._config.timeout

    @property
    def timeout_seconds(self) -> float | TimeoutLike | None:
        """Another name of `timeout`."""
        return self.timeout

    @property
    def is_closed(self) -> bool:
        """True once the client is closed."""
        return self._transport.is_closed

    async def aclose(self) -> None:
        """Close the connections. Can be repeated; calls after it raise `ClientClosedError`."""
        await self._transport.aclose()

    async def __aenter__(self) -> Self:
        self._transport.check_open()
        return self

    def __repr__(self) -> str:
        # Tracebacks use this text, also for clients whose creation failed.
        transport = getattr(self, "_transport", None)
        return f"<{type(self).__name__} {transport!r}>"
