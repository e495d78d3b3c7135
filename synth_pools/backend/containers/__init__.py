"""Calls to containers, checks of their health, and the choice between them."""
