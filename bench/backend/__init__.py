"""Benchmark of the local backend, next to the container behind it: `make bench-backend`."""
