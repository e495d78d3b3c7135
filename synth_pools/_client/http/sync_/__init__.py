# Derived by `make generate`. Change the file that it comes from:
# synth_pools/_client/http/async_/__init__.py

"""Engines of the sync client: sockets of the event loop, or httpx."""
