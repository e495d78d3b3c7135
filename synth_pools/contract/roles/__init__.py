"""Kinds of scenarios that know roles of operations alone, and the subject files that give them."""
