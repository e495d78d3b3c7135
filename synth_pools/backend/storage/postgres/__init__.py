"""The PostgreSQL database: the same tables on a server."""
