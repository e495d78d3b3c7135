"""The live page: its files, its log-in, and the server that brings it to any backend."""
