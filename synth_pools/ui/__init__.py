"""The live page: its files, its log-in, and the responses of its own paths."""
