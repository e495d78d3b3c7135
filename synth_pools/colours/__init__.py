"""What sending needs of an event loop, and the same of threads.

The client is written once, as async, and its sync form is derived. These few things have no common
words in the two worlds: they are written twice, in two modules of the same shape. Neither is loaded
before a client of its colour is, since asyncio takes longer to import than everything of ours.
"""
