"""The short names of operations, one namespace of the client a class."""
