"""Checks of the Python client against the backend under test."""
