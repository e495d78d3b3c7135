"""The backend: the complete API in one process, on SQLite."""
