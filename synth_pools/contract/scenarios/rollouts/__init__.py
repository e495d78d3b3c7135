"""Scenarios of rollouts."""
