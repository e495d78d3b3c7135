"""How fast the client is, next to bare httpx and the client that existed before. `make bench`."""
