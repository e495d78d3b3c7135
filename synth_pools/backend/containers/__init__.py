"""Calls to containers, checks of them, and the choice between them."""
