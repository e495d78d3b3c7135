"""A real container, made with synth-containers, that writes down every run of a rollout.

    python -m tests.system.fleet.counting_container FILE

It prints its URL and serves until its standard input ends.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

from synth_containers import Container

container = Container("counting", default_submission_mode="sync")
_file = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)


@container.rollout
async def rollout(request: dict[str, Any]) -> dict[str, Any]:
    os.write(_file, f"{request['rollout_id']} {request.get('seed')}\n".encode())
    await asyncio.sleep(0.05)
    return {
        "rollout_id": request["rollout_id"],
        "status": "completed",
        "success_status": "success",
        "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-01-01T00:00:01Z",
        "summary": {"reward": float(request.get("seed") or 0)},
    }


if __name__ == "__main__":
    print(container.serve().url, flush=True)
    sys.stdin.read()
