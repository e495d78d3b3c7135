# Derived by `make generate`. Change the file that it comes from:
# synth_pools/_client/_async/facade/__init__.py

"""The facade: one module per tag of openapi.yaml, and nothing else."""
