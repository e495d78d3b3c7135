"""The client: a hand-written facade and its engine."""
