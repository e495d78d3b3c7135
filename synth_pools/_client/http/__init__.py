"""One request and one response: no waiting, the same for both variants."""
