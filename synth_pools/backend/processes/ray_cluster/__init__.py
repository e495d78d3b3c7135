"""Containers placed over the nodes of a Ray cluster."""
