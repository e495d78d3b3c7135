"""Traffic of others as a judge of a backend: recorded, or passed on by a proxy."""
