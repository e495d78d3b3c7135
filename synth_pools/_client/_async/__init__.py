"""The client, written by hand once, as async; ``_sync`` is derived from this folder."""
