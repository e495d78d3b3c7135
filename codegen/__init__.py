"""Generators of the derived files of this repository, not part of the wheel."""


class CodegenError(Exception):
    """Failure of a generator, in one line for the person who ran it."""
