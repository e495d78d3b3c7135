"""Services and their keys: how they are named, kept and found."""
