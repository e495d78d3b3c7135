"""Benchmark of the client, next to bare httpx and the client before it: `make bench`."""
