"""Parts of an OpenAPI document as plain data: operations and schemas."""
