"""Mutation tests of what changed: `make mutants`.

mutmut and cosmic-ray were tried first. mutmut runs its mutants in forks of one process, while many
tests here start `synth-pools serve` in a process of its own; cosmic-ray has one command for the
tests of every module. Neither takes a sample of the lines that changed since a revision.
"""
