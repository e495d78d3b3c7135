"""The two API documents as data: finding them, reading them, comparing two versions of one."""

from __future__ import annotations

from synth_pools.spec.document import load_container_spec, load_spec, read_spec, spec_path

__all__ = ["load_container_spec", "load_spec", "read_spec", "spec_path"]
