"""Engines of the sync client: sockets of the standard library, or httpx."""
