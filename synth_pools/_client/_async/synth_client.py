"""The client class of the older SDK, with the pools client at ``pools``."""

from __future__ import annotations

from typing import Self

from synth_pools._client._async.client import AsyncContainerPoolsClient
from synth_pools._client.config import DEFAULT_MAX_RETRIES, DEFAULT_TIMEOUT_SECONDS, TimeoutLike
from synth_pools._client.http.async_.engine import AsyncCloseable, AsyncHTTPClient
from synth_pools._client.secret import Secret


class AsyncSynthClient(AsyncCloseable):
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
        http_client: AsyncHTTPClient | None = None,
    ) -> None:
        # First, so that no traceback shows the plain key from this frame.
        api_key = Secret.of(api_key)
        self.pools = AsyncContainerPoolsClient(
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

    async def aclose(self) -> None:
        """Close the connections. Can be repeated."""
        await self.pools.aclose()

    async def __aenter__(self) -> Self:
        await self.pools.__aenter__()
        return self

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {getattr(self, 'pools', None)!r}>"
