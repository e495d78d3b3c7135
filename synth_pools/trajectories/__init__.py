"""Trajectories in ATIF as data: their rules, and the forms that others read."""
