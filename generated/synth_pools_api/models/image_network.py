from typing import Literal, cast

ImageNetwork = Literal["loopback", "none"]

IMAGE_NETWORK_VALUES: frozenset[str] = frozenset(["loopback", "none"])


def check_image_network(value: str) -> ImageNetwork:
    """Refuse a value that is not one of IMAGE_NETWORK_VALUES."""
    if value not in IMAGE_NETWORK_VALUES:
        raise ValueError(f"{value!r} is not one of {', '.join(sorted(IMAGE_NETWORK_VALUES))}")
    return cast(ImageNetwork, value)
