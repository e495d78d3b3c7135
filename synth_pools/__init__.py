"""Container pools: pools of containers, and the rollouts that run on them.

>>> from synth_pools import ContainerPoolsClient
>>> with ContainerPoolsClient(api_key="...") as client:
...     pool = client.create_pool({"name": "my-pool"})
...     rollout = client.rollouts.create(pool["pool_id"], {"seed": 1})
"""

from synth_pools._async.client import AsyncContainerPoolsClient
from synth_pools._async.synth import AsyncSynthClient
from synth_pools._sync.client import ContainerPoolsClient
from synth_pools._sync.synth import SynthClient
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
from synth_pools.hooks import RequestInfo, ResponseInfo
from synth_pools.requests import CANONICAL_ROLLOUT_REQUEST_KEYS, validate_pool_rollout_request
from synth_pools.types import PoolTarget
from synth_pools.version import __version__

PoolsClient = ContainerPoolsClient
AsyncPoolsClient = AsyncContainerPoolsClient

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
    "DecodeError",
    "NotFoundError",
    "PermissionDeniedError",
    "PoolTarget",
    "PoolsClient",
    "RateLimitError",
    "RequestInfo",
    "RequestValidationError",
    "ResponseDecodeError",
    "ResponseInfo",
    "ServerError",
    "StreamDecodeError",
    "SynthClient",
    "SynthPoolsError",
    "ValidationFailedError",
    "__version__",
    "validate_pool_rollout_request",
]
