"""The HTTP API: from a request to its response."""
