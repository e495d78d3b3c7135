"""Runtimes of the client: asyncio and threads under one interface.

The client is written once, as async, and its sync variant is derived. The parts that differ too
much for that are written twice, in two packages with the same interface. A package is imported with
the first client of its variant, since asyncio takes longer to import than the client.
"""
