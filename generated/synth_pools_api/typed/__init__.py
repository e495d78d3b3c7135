"""The operations on models instead of plain JSON, in both colours."""
