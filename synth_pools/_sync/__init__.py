# Derived by `make generate`: change not this file but,
# synth_pools/_async/__init__.py

"""The client, written by hand once, as async; ``_sync`` is derived from this folder."""
