"""Logging, hooks and traces of the calls of a client."""
