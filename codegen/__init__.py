"""Generators of the derived parts of this repository. No part of the wheel."""


class CodegenError(Exception):
    """Failure of a generator, in one line for the person who ran it."""
