"""The runtime of the async client: asyncio."""
