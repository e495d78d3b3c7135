"""A long run of bad input against `synth-pools serve`: `make fuzz`."""
