"""How the derived parts of this repository come to be. No part of the wheel."""


class CodegenError(Exception):
    """One line for the person who ran it: what is at fault, and where."""
