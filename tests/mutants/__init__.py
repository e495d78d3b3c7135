"""Mutation tests: small changes of the code at random, and whether a test fails for each.

Two tools of others were tried on this repository. mutmut 3.8 runs the tests in forks of one
process, where all of them have to pass one after the other: with `tests/client` that took 14
minutes, twice, until one failed in a fork and it gave up before its first mutant. It sees no test
that reaches a function from another process, which those of the command line do, and leaves
constants alone. cosmic-ray 8.7 runs one command for all mutants, in the work tree itself, and
chooses no tests; it removes no statement and no returned value. Of 40 of its mutants in
`_client/events` 13 survived the tests beside them, several in annotations. Neither derives the sync
variant of a mutant: around either of them all modules here but `mutations` would stay.
"""
