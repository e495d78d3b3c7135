"""Layer 3: the Python client against the backend under test."""
