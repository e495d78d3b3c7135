"""What the backend can be seen to do from outside: counted where it happens, told at `/metrics`."""

from __future__ import annotations
