"""A second backend of container pools, written from openapi.yaml alone.

It shares no code with the local backend and none with the contract kit, so that the kit's verdict
on it tells whether the kit judges the document or its neighbour. It keeps everything in memory,
starts no processes, and builds no images. Each of its rules can be switched off (`rules`), which
plants a fault in its code.

`python -m tests.contract.second_backend --port 8090` serves it.
"""
