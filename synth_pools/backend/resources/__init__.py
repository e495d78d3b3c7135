"""Memory, open files and worker processes that the rest of the backend shares."""
