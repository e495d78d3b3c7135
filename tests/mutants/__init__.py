"""Mutation tests: small changes of the code at random, and whether a test fails for each.

Two tools of others were tried on this repository, mutmut 3.8 and cosmic-ray 8.7. TRIED
"""
