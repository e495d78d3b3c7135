"""Clauses of openapi.yaml: its sentences, their lines, and the checks that judge each of them."""
