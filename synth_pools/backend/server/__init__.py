"""Sockets and uvicorn: listening, connections, shutdown."""
