"""Container pools: pools of containers, and the rollouts that run on them.

>>> from synth_pools import ContainerPoolsClient
>>> with ContainerPoolsClient(api_key="...") as client:
...     pool = client.create_pool({"name": "my-pool"})
...     rollout = client.rollouts.create(pool["pool_id"], {"seed": 1})
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from synth_pools._client.arguments import (
    CANONICAL_ROLLOUT_REQUEST_KEYS,
    validate_pool_rollout_request,
)
from synth_pools._version import __version__
from synth_pools.errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ClientClosedError,
    ConfigurationError,
    ConflictError,
    DecodeError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    RequestValidationError,
    ResponseDecodeError,
    ServerError,
    StreamDecodeError,
    SynthPoolsError,
    ValidationFailedError,
)

if TYPE_CHECKING:
    from synth_pools._client._async.client import AsyncContainerPoolsClient
    from synth_pools._client._async.synth_client import AsyncSynthClient
    from synth_pools._client._sync.client import ContainerPoolsClient
    from synth_pools._client._sync.synth_client import SynthClient
    from synth_pools._client.fleet.outcomes import FleetProgress, RolloutOutcome
    from synth_pools._client.hooks import RequestInfo, ResponseInfo
    from synth_pools._client.run_errors import (
        ContentMismatchError,
        FleetStoppedError,
        JournalError,
        PoolFailedError,
        StreamBrokenError,
        StreamTimeoutError,
        WaitTimeoutError,
    )
    from synth_pools.types import PoolTarget

    PoolsClient = ContainerPoolsClient
    AsyncPoolsClient = AsyncContainerPoolsClient
else:
    # Each colour is loaded when it is first named. A program uses one of them, and asyncio, which
    # only one of them needs, takes longer to import than everything of ours. Likewise what is not
    # needed before something lasts.
    _LATER = {
        "AsyncContainerPoolsClient": "synth_pools._client._async.client:AsyncContainerPoolsClient",
        "AsyncPoolsClient": "synth_pools._client._async.client:AsyncContainerPoolsClient",
        "AsyncSynthClient": "synth_pools._client._async.synth_client:AsyncSynthClient",
        "ContainerPoolsClient": "synth_pools._client._sync.client:ContainerPoolsClient",
        "ContentMismatchError": "synth_pools._client.run_errors:ContentMismatchError",
        "FleetProgress": "synth_pools._client.fleet.outcomes:FleetProgress",
        "FleetStoppedError": "synth_pools._client.run_errors:FleetStoppedError",
        "JournalError": "synth_pools._client.run_errors:JournalError",
        "PoolFailedError": "synth_pools._client.run_errors:PoolFailedError",
        "PoolTarget": "synth_pools.types:PoolTarget",
        "PoolsClient": "synth_pools._client._sync.client:ContainerPoolsClient",
        "RequestInfo": "synth_pools._client.hooks:RequestInfo",
        "ResponseInfo": "synth_pools._client.hooks:ResponseInfo",
        "RolloutOutcome": "synth_pools._client.fleet.outcomes:RolloutOutcome",
        "StreamBrokenError": "synth_pools._client.run_errors:StreamBrokenError",
        "StreamTimeoutError": "synth_pools._client.run_errors:StreamTimeoutError",
        "SynthClient": "synth_pools._client._sync.synth_client:SynthClient",
        "WaitTimeoutError": "synth_pools._client.run_errors:WaitTimeoutError",
    }

    def __getattr__(name: str) -> Any:
        if name not in _LATER:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module, _, kind = _LATER[name].partition(":")
        globals()[name] = value = getattr(import_module(module), kind)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *_LATER})


__all__ = [
    "CANONICAL_ROLLOUT_REQUEST_KEYS",
    "APIConnectionError",
    "APIStatusError",
    "APITimeoutError",
    "AsyncContainerPoolsClient",
    "AsyncPoolsClient",
    "AsyncSynthClient",
    "AuthenticationError",
    "BadRequestError",
    "ClientClosedError",
    "ConfigurationError",
    "ConflictError",
    "ContainerPoolsClient",
    "ContentMismatchError",
    "DecodeError",
    "FleetProgress",
    "FleetStoppedError",
    "JournalError",
    "NotFoundError",
    "PermissionDeniedError",
    "PoolFailedError",
    "PoolTarget",
    "PoolsClient",
    "RateLimitError",
    "RequestInfo",
    "RequestValidationError",
    "ResponseDecodeError",
    "ResponseInfo",
    "RolloutOutcome",
    "ServerError",
    "StreamBrokenError",
    "StreamDecodeError",
    "StreamTimeoutError",
    "SynthClient",
    "SynthPoolsError",
    "ValidationFailedError",
    "WaitTimeoutError",
    "__version__",
    "validate_pool_rollout_request",
]
