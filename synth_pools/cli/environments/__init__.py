"""`synth-pools env`: environments of frameworks, listed, installed, served and run."""
