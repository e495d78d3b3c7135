"""The client: the hand-written facade, and the engine below it."""
