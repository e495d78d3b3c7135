"""Scenarios of the events of a rollout."""
