"""Players of the guessing game."""

from __future__ import annotations

from typing import Any


def count(observation: dict[str, Any]) -> dict[str, int]:
    """Begin with 0, and then go on from what the last hint was about."""
    count.number = 0 if "guess" in observation["text"] else count.number + 1  # type: ignore[attr-defined]
    return {"number": count.number}  # type: ignore[attr-defined]
