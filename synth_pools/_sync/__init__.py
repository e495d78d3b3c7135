# Derived from synth_pools/_async/__init__.py by `make generate`: change that file, not this one.

"""The client, written by hand once, as async; ``_sync`` is derived from this folder."""
