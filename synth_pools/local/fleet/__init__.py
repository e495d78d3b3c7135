"""The containers of each pool: which there are, how they are, and which one gets a rollout."""

from .fleet import Fleet, Place
from .members import Member

__all__ = ["Fleet", "Member", "Place"]
