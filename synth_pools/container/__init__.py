"""Containers of a pool: an environment, an agent or any function as a service that runs rollouts.

    from synth_pools.container import Container, Result, Rollout

    container = Container("words")


    @container.rollout
    async def words(rollout: Rollout) -> Result:
        return Result(reward=len(rollout.env["text"].split()) / 10)


    container.serve()

It stands in the environments of others: beside the standard library it needs uvicorn and Starlette
(`pip install 'synth-pools[container]'`), and these only to serve.
"""

from synth_pools.container.container import Container, PlayedRollout
from synth_pools.container.ends import SetupError
from synth_pools.container.rollout import EpisodeError, Result, Rollout
from synth_pools.container.trajectory import Trajectory

__all__ = [
    "Container",
    "EpisodeError",
    "PlayedRollout",
    "Result",
    "Rollout",
    "SetupError",
    "Trajectory",
]
