"""Program of a user with the client of openapi-generator."""

import os

import pools_api
from pools_api.exceptions import ApiException

configuration = pools_api.Configuration(
    host=os.environ["SYNTH_BACKEND_URL"], access_token=os.environ["SYNTH_API_KEY"]
)
with pools_api.ApiClient(configuration) as client:
    pools = pools_api.PoolsApi(client)
    rollouts = pools_api.RolloutsApi(client)
    definition = pools_api.PoolDefinition(id="from-openapi-generator", name="generated")
    pool = pools.create_pool(definition)
    print(pool.status.value)
    rollout = rollouts.create_rollout(
        pool.id, pools_api.RolloutRequest.from_dict({"mode": "sync", "env": {"reward": 0.75}})
    )
    print(rollout.status.value, rollout.metrics.outcome_reward)
    print([listed.id for listed in pools.list_pools().items])
    try:
        pools.get_pool("unknown")
    except ApiException as error:
        print(error.status, error.data.actual_instance.error.code.value)
    try:
        pools.create_pool(definition)
    except ApiException as error:
        print(error.status, error.data.actual_instance.error.code.value)
    pools.delete_pool(pool.id)
