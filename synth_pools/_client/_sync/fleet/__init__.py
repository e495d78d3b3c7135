# Derived by `make generate`. Change the file that it comes from:
# synth_pools/_client/_async/fleet/__init__.py

"""Fleets: many rollouts at once, through one client."""
