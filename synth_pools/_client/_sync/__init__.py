# Derived by `make generate`. Change the file that it comes from:
# synth_pools/_client/_async/__init__.py

"""The client, written by hand once, as async; ``_sync`` is derived from this folder."""
