"""Sockets of a caller-supplied HTTP client. `sync_` has more to do here."""

from __future__ import annotations


def limit_sockets(http: object) -> bool:
    """Return True: a task is cancelled when its time is over, whatever it waits for."""
    del http
    return True
