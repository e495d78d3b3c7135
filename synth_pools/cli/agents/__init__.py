"""`synth-pools mcp`: the operations of a service as tools of coding agents."""
