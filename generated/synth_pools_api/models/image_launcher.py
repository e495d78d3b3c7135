from typing import Literal, cast

ImageLauncher = Literal["docker", "podman", "ray"]

IMAGE_LAUNCHER_VALUES: frozenset[str] = frozenset(["docker", "podman", "ray"])


def check_image_launcher(value: str) -> ImageLauncher:
    """Refuse a value that is not one of IMAGE_LAUNCHER_VALUES."""
    if value not in IMAGE_LAUNCHER_VALUES:
        raise ValueError(f"{value!r} is not one of {', '.join(sorted(IMAGE_LAUNCHER_VALUES))}")
    return cast(ImageLauncher, value)
