"""Artifacts of rollouts: extraction, storage form, downloads and redaction."""
