"""Container of the SDK, and a pool that starts it.

pip install 'synth-pools[local,container]'
python examples/words.py                               a backend, a pool of it, a rollout
python -m synth_pools.container examples/words.py      the container alone
"""

from __future__ import annotations

import sys

from synth_pools.container import Container, Result, Rollout

container = Container("words", tasks=["short", "long"])


@container.rollout
async def words(rollout: Rollout) -> Result:
    text = "word " * rollout.env["words"]  # an agent would work here
    rollout.event({"step": 1, "text": text})
    rollout.artifact("text.txt", text)
    return Result(reward=len(text.split()) / 10, usage={"input_tokens": 12, "output_tokens": 40})


def show() -> None:
    # The container needs no backend, and is imported without one.
    from synth_pools.local import LocalBackend

    process = {"argv": [sys.executable, "-m", "synth_pools.container", __file__]}
    with LocalBackend(allow_processes=True) as backend, backend.client() as client:
        pool = client.create_pool({"name": "words", "config": {"process": process}})
        client.wait_pool_active(pool["id"], timeout=60)
        rollout = client.rollouts.run(pool["id"], {"env": {"words": 7}})
        print(rollout["status"], "with reward", rollout["score"])
        [artifact] = client.rollouts.artifacts(pool["id"], rollout["id"])["items"]
        print(artifact["path"], client.rollouts.artifact(pool["id"], rollout["id"], "text.txt"))


if __name__ == "__main__":
    show()
