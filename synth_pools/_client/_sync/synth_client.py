# Derived by `make generate`. Change the file that it comes from:
# synth_pools/_client/_async/synth_client.py

"""The client class of the older SDK, with the pools client at ``pools``."""

from __future__ import annotations

from typing import Self

from synth_pools._client._sync.client import ContainerPoolsClient
from synth_pools._client.config import DEFAULT_MAX_RETRIES, DEFAULT_TIMEOUT_SECONDS, TimeoutLike
from synth_pools._client.http.sync_.engine import Closeable, HTTPClient
from synth_pools._client.secret import Secret


class SynthClient(Closeable):
    """A client with the pools client at ``pools``.

    Args:
        api_key: The bearer key; else the environment variable ``SYNTH_API_KEY``.
        base_url: URL of the service; else the environment variable ``SYNTH_BACKEND_URL``, else
            the hosted service.
        timeout: Time limit of a request in seconds.
        max_retries: How often a request may be repeated, 0 or more.
        http_client: An HTTP client of your own, of httpx or httpx2; it is not closed with this one.

    Other settings are on the pools client: ``client.pools.with_options(...)``.

    Attributes:
        pools: Container pools, their tasks, rollouts and metrics.

    Raises:
        ConfigurationError: A setting is missing or cannot be used. It is also a `ValueError`.
    """

    def __init__(
        self,
        *,
        api_key: str | Secret | None = None,
        base_url: str | None = None,
        timeout: float | TimeoutLike | None = DEFAULT_TIMEOUT_SECONDS,
        max_retries: int = DEFAULT_MAX_RETRIES,
        http_client: HTTPClient | None = None,
    ) -> None:
        # First, so that no traceback shows the plain key from this frame.
        api_key = Secret.of(api_key)
        self.pools = ContainerPoolsClient(
            api_key=api_key,
            base_url=base_url,
            timeout=timeout,
            max_retries=max_retries,
            http_client=http_client,
        )

    @property
    def base_url(self) -> str:
        """Base URL of the service."""
        return self.pools.base_url

    @property
    def timeout(self) -> float | TimeoutLike | None:
        """Time limit of a request in seconds, or of its phases; None for no limit."""
        return self.pools.timeout

    def close(self) -> None:
        """Close the connections. Can be repeated."""
        self.pools.close()

    def __enter__(self) -> Self:
        self.pools.__enter__()
        return self

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {getattr(self, 'pools', None)!r}>"
