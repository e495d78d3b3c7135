"""What a fleet needs of tasks, and the same of threads.

The fleet is written once, as async, and its sync form is derived. These few things have no common
words in the two worlds: they are written twice, in two modules of the same shape, and kept as small
as that demands. A sync fleet on a private event loop would not need them, but it would need an
HTTP client of its own: the caller's proxy, certificates and hooks belong to the sync one.
"""
