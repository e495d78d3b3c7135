"""Commands for the operations of openapi.yaml."""
