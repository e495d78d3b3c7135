"""A long run of hostile input against `synth-pools serve`: `make hostile`."""
