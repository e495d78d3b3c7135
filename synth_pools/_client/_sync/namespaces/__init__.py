# Derived by `make generate`. Change the file that it comes from:
# synth_pools/_client/_async/namespaces/__init__.py

"""The short names of operations, one namespace of the client a class.

`make generate` copies their docstrings from the operations that they pass their calls on to.
"""
