"""A container made with synth-containers, the package that containers in use are made with."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from synth_containers import Container
from synth_containers.sdk import RolloutResult


@contextmanager
def real_container() -> Iterator[str]:
    """Its URL. The reward is the seed; `params.raise` lets the rollout function raise.

    `params.packaged` lets it answer with the package's own `RolloutResult`. `params.seconds` is how
    long it takes; `params.blocks` is how long it holds up all else there, as a plain `def` does.
    """
    container = Container("arithmetic", default_submission_mode="sync")

    @container.rollout
    async def rollout(payload: dict[str, Any]) -> dict[str, Any]:
        params = payload.get("params") or {}
        await asyncio.sleep(params.get("seconds", 0))
        time.sleep(params.get("blocks", 0))  # noqa: ASYNC251 - that is what is wanted
        if params.get("raise"):
            raise RuntimeError("the rollout function raised")
        if params.get("packaged"):
            reward = float(payload.get("seed") or 0)
            return dict(RolloutResult(payload["rollout_id"], reward).to_dict())
        return {
            "rollout_id": payload["rollout_id"],
            "status": "completed",
            "success_status": "success",
            "created_at": "2026-01-01T00:00:00Z",
            "updated_at": "2026-01-01T00:00:01Z",
            "summary": {"reward": float(payload.get("seed") or 0)},
            "seen": payload,
        }

    with container.serve() as handle:
        yield handle.url
