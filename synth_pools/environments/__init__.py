"""Environments of the field as containers of a pool: `gymnasium:CartPole-v1`, `harbor:./tasks`.

Everything here is imported in the container alone, by the Python that has the framework, and needs
nothing of this package but `synth_pools.container`; only `kinds` is for both sides.
"""
