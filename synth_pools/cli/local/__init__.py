"""Commands that run the backend on this machine, and show it."""
