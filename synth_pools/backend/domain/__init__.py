"""Terms that the other packages share: errors, definitions, targets, time."""
