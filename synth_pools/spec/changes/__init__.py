"""Comparison of two versions of the contract, and the effect on clients and servers."""
