"""A real container, made with synth-containers, in a separate process.

python -m bench.backend.container      prints its URL, serves until its input ends
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from synth_containers import Container

_MOMENT = "2026-01-01T00:00:00Z"


def main() -> None:
    container = Container("bench", default_submission_mode="sync")

    async def rollout(payload: dict[str, Any]) -> dict[str, Any]:
        seconds = (payload.get("params") or {}).get("seconds", 0)
        if seconds:
            await asyncio.sleep(seconds)
        return {
            "rollout_id": payload["rollout_id"],
            "status": "completed",
            "success_status": "success",
            "created_at": _MOMENT,
            "updated_at": _MOMENT,
            "summary": {"reward": 1.0},
        }

    container.rollout(rollout)
    with container.serve() as handle:
        print(handle.url, flush=True)
        # Its owner holds the other end of this pipe, and is gone when the pipe ends.
        sys.stdin.read()


if __name__ == "__main__":
    main()
