"""Values that callers put into requests."""

from enum import Enum


class PoolTarget(str, Enum):  # noqa: UP042 - a StrEnum prints as its value, this always printed its name
    """What a pool's containers are made for; goes into a pool definition's ``target``.

    Every member is also a plain string, so both ``PoolTarget.HARBOR`` and ``"harbor"`` can be sent.
    """

    HARBOR = "harbor"
    OPENENV = "openenv"
    HORIZONS = "horizons"
    HORIZONS_PRIVATE = "horizons_private"
    ARBITRARY = "arbitrary"
