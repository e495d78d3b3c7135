"""Runtimes of the client: asyncio and threads under one interface.

The client is written once, as async, and its sync variant is derived. These few things have no
common words in the two worlds: they are written twice, in two packages of the same shape. Neither
is loaded before a client of its variant is, since asyncio takes longer to import than the client.
"""
