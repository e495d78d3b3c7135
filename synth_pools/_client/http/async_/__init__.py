"""Engines of the async client: sockets of the event loop, or httpx."""
