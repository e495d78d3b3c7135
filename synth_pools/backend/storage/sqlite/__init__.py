"""The SQLite database: one file beside the artifacts, used by one backend."""
