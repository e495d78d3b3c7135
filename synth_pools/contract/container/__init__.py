"""Judge of containers: scenarios by container.openapi.yaml, a module for each level."""
