from typing import Literal, cast

ProcessLauncher = Literal["local", "ray"]

PROCESS_LAUNCHER_VALUES: frozenset[str] = frozenset(["local", "ray"])


def check_process_launcher(value: str) -> ProcessLauncher:
    """Refuse a value that is not one of PROCESS_LAUNCHER_VALUES."""
    if value not in PROCESS_LAUNCHER_VALUES:
        raise ValueError(f"{value!r} is not one of {', '.join(sorted(PROCESS_LAUNCHER_VALUES))}")
    return cast(ProcessLauncher, value)
