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
    ContentMismatchError,
    DecodeError,
    FleetStoppedError,
    JournalError,
    NotFoundError,
    PermissionDeniedError,
    PoolFailedError,
    RateLimitError,
    RequestValidationError,
    ResponseDecodeError,
    RolloutFailedError,
    ServerError,
    StreamBrokenError,
    StreamDecodeError,
    StreamTimeoutError,
    SynthPoolsError,
    ValidationFailedError,
    WaitTimeoutError,
)

if TYPE_CHECKING:
    from synth_pools._client._async.client import AsyncContainerPoolsClient
    from synth_pools._client._async.synth_client import AsyncSynthClient
    from synth_pools._client._sync.client import ContainerPoolsClient
    from synth_pools._client._sync.synth_client import SynthClient
    from synth_pools._client.fleet.outcomes import FleetProgress, RolloutOutcome
    from synth_pools._client.hooks import RequestInfo, ResponseInfo
    from synth_pools.types import PoolTarget

    PoolsClient = ContainerPoolsClient
    AsyncPoolsClient = AsyncContainerPoolsClient
else:
    # Each variant is loaded when it is first named. A program uses one of them, and asyncio, which
    # only one of them needs, takes longer to import than everything of ours. Likewise what is not
    # needed before something lasts.
    _LATER = {
        "AsyncContainerPoolsClient": "synth_pools._client._async.client:AsyncContainerPoolsClient",
        "AsyncPoolsClient": "synth_pools._client._async.client:AsyncContainerPoolsClient",
        "AsyncSynthClient": "synth_pools._client._async.synth_client:AsyncSynthClient",
        "ContainerPoolsClient": "synth_pools._client._sync.client:ContainerPoolsClient",
        "FleetProgress": "synth_pools._client.fleet.outcomes:FleetProgress",
        "PoolTarget": "synth_pools.types:PoolTarget",
        "PoolsClient": "synth_pools._client._sync.client:ContainerPoolsClient",
        "RequestInfo": "synth_pools._client.hooks:RequestInfo",
        "ResponseInfo": "synth_pools._client.hooks:ResponseInfo",
        "RolloutOutcome": "synth_pools._client.fleet.outcomes:RolloutOutcome",
        "SynthClient": "synth_pools._client._sync.synth_client:SynthClient",
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
    "RolloutFailedError",
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
