"""The two API documents as data: location, content, and comparison of two versions."""

from __future__ import annotations

from synth_pools.spec.document import load_container_spec, load_spec, read_spec, spec_path

__all__ = ["load_container_spec", "load_spec", "read_spec", "spec_path"]
