"""Commands for many rollouts: `run`, `journal`, `rollouts watch`."""
