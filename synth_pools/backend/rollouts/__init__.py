"""Rollouts, from their admission to their result."""
