"""Judging a backend by the traffic of others, recorded or passed through a proxy."""
