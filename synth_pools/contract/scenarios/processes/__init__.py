"""Scenarios of pools that start their containers."""
