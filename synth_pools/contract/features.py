"""Which operations a backend may do without, by the feature that says whether it has them."""

from __future__ import annotations

from synth_pools.contract.session import World

OF_FEATURE: dict[str, tuple[str, ...]] = {
    "pause": ("pause_pool", "resume_pool"),
    "validate": ("validate_rollout",),
    "batch": ("create_rollout_batch",),
    "replay": ("replay_rollout",),
    "artifact_downloads": ("get_global_rollout_artifact", "get_global_rollout_artifacts_zip"),
    "support_bundle": ("get_global_rollout_support_bundle",),
}


def not_offered(world: World) -> dict[str, str]:
    """The operations that the server says it does not have, each with what it says."""
    return {
        operation: f"features.{feature} is not true"
        for feature, operations in OF_FEATURE.items()
        if not world.offers(feature)
        for operation in operations
        if operation in world.document.operations
    }
