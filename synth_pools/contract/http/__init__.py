"""HTTP of the contract kit: its client, event streams, the stub container."""
