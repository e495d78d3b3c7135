"""A backend, a pool, a task, a rollout: all on this machine, with nothing else running.

pip install 'synth-pools[local]'
"""

from synth_pools.local import LocalBackend

with LocalBackend() as backend, backend.client() as client:
    pool = client.create_pool({"name": "quickstart", "target": "arbitrary", "tasks": []})
    task = client.create_task(pool["id"], {"task_id": "hello", "task_config": {"words": 3}})

    # Without a container the built-in echo target does what `env` says.
    rollout = client.create_rollout(
        pool["id"],
        {"task_id": task["id"], "seed": 7, "env": {"delay": 0.5, "events": 3, "reward": 0.75}},
    )
    for event in client.rollouts.events(pool["id"], rollout["id"]):
        print(event["sequence"], event["event"])

    summary = client.rollouts.summary(pool["id"], rollout["id"])
    print(summary["status"], "with reward", summary["reward"])
