"""Requests that are generated from openapi.yaml, and their verdicts."""
