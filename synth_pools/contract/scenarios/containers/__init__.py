"""Scenarios of containers."""
