"""The runtime of the sync client: threads."""
