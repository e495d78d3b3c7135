"""Random sequences of operations, checked against a model."""
