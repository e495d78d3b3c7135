"""Engines of the async client: aiohttp, or httpx."""
