"""Actor that reserves a container's resources in a Ray cluster, on the node that runs it.

Its class is sent to the node by value, so this module imports the standard library alone: the actor
reports whether the node has this package, and its version.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import socket
import subprocess
import sys
import threading
from typing import Any

_PACKAGE = "synth_pools.backend.processes.ray_cluster"
_DISTRIBUTION = "synth-pools"

# Last line of a supervisor that has ended its container.
ENDED = b"ended\n"

# Time limits of a supervisor's start, and of the removal of leftovers.
_START_SECONDS = 60.0
_END_SECONDS = 60.0


class ContainerActor:
    """Actor that runs the supervisor of one container, and ends with it."""

    def start(self, order: str, version: str) -> dict[str, Any]:
        """Start the supervisor.

        Args:
            order: The order of the container, as JSON.
            version: The version of this package on the backend.

        Returns:
            The address of the supervisor, or an error under `problem`.
        """
        # Ray is installed wherever this class arrives.
        import ray

        context = ray.get_runtime_context()
        place = {"node_id": context.get_node_id(), "host": ray.util.get_node_ip_address()}
        problem = _problem(version)
        if problem is not None:
            return {**place, "problem": problem}
        ours, theirs = socket.socketpair()
        with theirs:
            program = [sys.executable, "-P", "-m", f"{_PACKAGE}.supervisor", str(theirs.fileno())]
            process = subprocess.Popen(  # noqa: S603 - our own module
                program,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        order = json.dumps({**json.loads(order), "host": place["host"]})
        ours.settimeout(_START_SECONDS)
        lines = ours.makefile("rwb")
        try:
            lines.write(f"{order}\n".encode())
            lines.flush()
            answer = lines.readline()
        except OSError as error:
            answer = b""
            print(f"the supervisor does not start: {error}", file=sys.stderr)  # noqa: T201
        # This process has detached the supervisor, or has failed.
        process.wait(_START_SECONDS)
        if not answer:
            ours.close()
            return {**place, "problem": "the supervisor did not start: see the log of its actor"}
        ours.settimeout(None)
        threading.Thread(target=_end_with, args=(lines, order), daemon=True).start()
        return {**place, **json.loads(answer)}


def _problem(version: str) -> str | None:
    """Return an error message if no supervisor can be started here."""
    try:
        installed_version = importlib.metadata.version(_DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        installed_version = None
    if installed_version == version and importlib.util.find_spec("psutil") is not None:
        return None
    has = "no synth-pools" if installed_version is None else f"synth-pools {installed_version}"
    if installed_version == version:
        has += " without the extra `local`"
    return f"the node has {has}: install 'synth-pools[local,ray]=={version}' there"


def _end_with(lines: Any, order: str) -> None:
    """End the leftovers of an ended supervisor, then this process."""
    answer = b""
    try:
        answer = lines.read()
    except OSError as error:
        print(f"the supervisor is lost: {error}", file=sys.stderr)  # noqa: T201
    try:
        if answer != ENDED:
            subprocess.run(  # noqa: S603 - our own module
                [sys.executable, "-P", "-m", f"{_PACKAGE}.node_launchers"],
                input=order.encode(),
                timeout=_END_SECONDS,
                check=False,
            )
    finally:
        os._exit(0)
