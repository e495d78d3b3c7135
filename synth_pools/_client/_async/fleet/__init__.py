"""Fleets: many rollouts at once, through one client."""
