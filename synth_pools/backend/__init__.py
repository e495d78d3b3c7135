"""The backend: the whole API in one process, on SQLite."""
