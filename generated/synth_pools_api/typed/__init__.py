"""The operations on models instead of plain JSON, sync and async."""
