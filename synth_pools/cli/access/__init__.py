"""Services and their keys: names, storage and lookup."""
