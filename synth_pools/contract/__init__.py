"""Judges a backend by openapi.yaml, knowing nothing of it beyond its URL and a key."""
