"""Container pools: pools of containers, and the rollouts that run on them.

>>> from synth_pools import ContainerPoolsClient
>>> with ContainerPoolsClient(api_key="...") as client:
...     pool = client.create_pool({"name": "my-pool"})
...     rollout = client.rollouts.create(pool["pool_id"], {"seed": 1})
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from synth_pools._version import __version__

if TYPE_CHECKING:
    from synth_pools._client._async.client import AsyncContainerPoolsClient
    from synth_pools._client._async.synth_client import AsyncSynthClient
    from synth_pools._client._sync.client import ContainerPoolsClient
    from synth_pools._client._sync.synth_client import SynthClient
    from synth_pools._client.arguments import (
        CANONICAL_ROLLOUT_REQUEST_KEYS,
        validate_pool_rollout_request,
    )
    from synth_pools._client.fleet.outcomes import FleetProgress, RolloutOutcome
    from synth_pools._client.hooks import RequestInfo, ResponseInfo
    from synth_pools.errors import (
        APIConnectionError,
        APIStatusError,
        APITimeoutError,
        AuthenticationError,
        BadRequestError,
        BudgetReachedError,
        ClientClosedError,
        ComparisonError,
        ConfigurationError,
        ConflictError,
        ContentMismatchError,
        DecodeError,
        FleetStoppedError,
        JournalError,
        NotFoundError,
        NotRepeatedError,
        PermissionDeniedError,
        PoolFailedError,
        RateLimitError,
        RequestValidationError,
        ResponseDecodeError,
        RolloutFailedError,
        RunFileError,
        ServerError,
        StreamBrokenError,
        StreamDecodeError,
        StreamTimeoutError,
        SynthPoolsError,
        ValidationFailedError,
        WaitTimeoutError,
    )
    from synth_pools.runs.comparison import Comparison, compare
    from synth_pools.types import PoolTarget

    PoolsClient = ContainerPoolsClient
    AsyncPoolsClient = AsyncContainerPoolsClient
else:
    # Each name is loaded on its first use. Most programs use one of the two variants, and asyncio,
    # which only the async one needs, takes longer to import than all of our modules. Many commands
    # of the command line need neither the HTTP library nor the errors, which import it.
    _LATER = {
        "synth_pools._client._async.client": ["AsyncContainerPoolsClient"],
        "synth_pools._client._async.synth_client": ["AsyncSynthClient"],
        "synth_pools._client._sync.client": ["ContainerPoolsClient"],
        "synth_pools._client._sync.synth_client": ["SynthClient"],
        "synth_pools._client.arguments": [
            "CANONICAL_ROLLOUT_REQUEST_KEYS",
            "validate_pool_rollout_request",
        ],
        "synth_pools._client.fleet.outcomes": ["FleetProgress", "RolloutOutcome"],
        "synth_pools._client.hooks": ["RequestInfo", "ResponseInfo"],
        "synth_pools.runs.comparison": ["Comparison", "compare"],
        "synth_pools.types": ["PoolTarget"],
    }
    _PLACES = {name: module for module, names in _LATER.items() for name in names}
    _ALIASES = {
        "AsyncPoolsClient": "AsyncContainerPoolsClient",
        "PoolsClient": "ContainerPoolsClient",
    }

    def __getattr__(name: str) -> Any:
        if name == "errors":
            return import_module("synth_pools.errors")
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        # First, since they import the HTTP library, which takes 6 ms longer from deeper modules.
        errors = import_module("synth_pools.errors")
        target = _ALIASES.get(name, name)
        module = import_module(_PLACES[target]) if target in _PLACES else errors
        globals()[name] = value = getattr(module, target)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})


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
    "BudgetReachedError",
    "ClientClosedError",
    "Comparison",
    "ComparisonError",
    "ConfigurationError",
    "ConflictError",
    "ContainerPoolsClient",
    "ContentMismatchError",
    "DecodeError",
    "FleetProgress",
    "FleetStoppedError",
    "JournalError",
    "NotFoundError",
    "NotRepeatedError",
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
    "RunFileError",
    "ServerError",
    "StreamBrokenError",
    "StreamDecodeError",
    "StreamTimeoutError",
    "SynthClient",
    "SynthPoolsError",
    "ValidationFailedError",
    "WaitTimeoutError",
    "__version__",
    "compare",
    "validate_pool_rollout_request",
]
