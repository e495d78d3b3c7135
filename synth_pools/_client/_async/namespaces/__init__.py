"""The short names of operations, one namespace of the client a class.

`make generate` copies their docstrings from the operations that they pass their calls on to.
"""
