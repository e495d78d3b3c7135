"""Runs on disk, and what two of them say when they are compared."""
