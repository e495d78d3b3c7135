"""Fleets without their waiting: outcomes, the journal, limits and the progress bar."""
