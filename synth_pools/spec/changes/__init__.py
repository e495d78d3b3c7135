"""Comparison of two versions of the contract: what a change does to clients and to servers."""
