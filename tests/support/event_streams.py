"""Event streams of a backend, as it counts them itself."""

from __future__ import annotations

import httpx

from synth_pools.local import LocalBackend


def streams_of(backend: LocalBackend) -> float:
    """Count the event streams that are open."""
    headers = {"authorization": f"Bearer {backend.api_key}"}
    text = httpx.get(f"{backend.url}/metrics", headers=headers, trust_env=False).text
    [line] = [item for item in text.splitlines() if item.startswith("synth_pools_event_streams ")]
    return float(line.split()[1])
