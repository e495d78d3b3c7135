"""The facade: one module per tag of openapi.yaml, and nothing else."""
