"""Backends of other APIs, judged by their own document and a subject file."""
