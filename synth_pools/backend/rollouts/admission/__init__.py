"""Admission of rollouts: choice of a pool, room in its queue, idempotency keys."""
