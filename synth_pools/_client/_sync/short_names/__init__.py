# Derived by `make generate`. Change the file that it comes from:
# codegen/short_names.py

"""Short names of operations."""
