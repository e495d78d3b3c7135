"""Layer 2: requests that are generated from openapi.yaml."""
