"""Storage: the database, and the files beside it."""
