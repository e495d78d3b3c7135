"""What the local backend costs, next to the container behind it. `make bench-backend`."""
