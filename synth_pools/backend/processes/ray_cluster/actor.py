"""The actor that holds what a container needs of a Ray cluster, on the node that runs it.

Its class travels to the node by value, so nothing but the standard library is imported here:
whether the node has this package, and which version of it, is what the actor tells.
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

# The last word of a supervisor that has left nothing.
ENDED = b"ended\n"

# How long a supervisor may take until it listens, and the removal of what one has left.
_START_SECONDS = 60.0
_END_SECONDS = 60.0


class ContainerActor:
    """Runs the supervisor of one container, and ends with it."""

    def start(self, order: str, version: str) -> dict[str, Any]:
        """Start the supervisor.

        Args:
            order: What it is to start, as JSON.
            version: The version of this package that the backend has.

        Returns:
            Where it listens, or under `problem` why there is none.
        """
        # Where this class arrives, there it is.
        import ray

        context = ray.get_runtime_context()
        place = {"node_id": context.get_node_id(), "host": ray.util.get_node_ip_address()}
        problem = _problem(version)
        if problem is not None:
            return {**place, "problem": problem}
        ours, theirs = socket.socketpair()
        with theirs:
            program = [sys.executable, "-P", "-m", f"{_PACKAGE}.supervisor", str(theirs.fileno())]
            starting = subprocess.Popen(  # noqa: S603 - our own module
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
            said = lines.readline()
        except OSError as error:
            said = b""
            print(f"the supervisor does not start: {error}", file=sys.stderr)  # noqa: T201
        # It has left its child behind, or has failed.
        starting.wait(_START_SECONDS)
        if not said:
            ours.close()
            return {**place, "problem": "the supervisor did not start: see the log of its actor"}
        ours.settimeout(None)
        threading.Thread(target=_end_with, args=(lines, order), daemon=True).start()
        return {**place, **json.loads(said)}


def _problem(version: str) -> str | None:
    """Return in one line why no supervisor can be started here."""
    try:
        found = importlib.metadata.version(_DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        found = None
    if found == version and importlib.util.find_spec("psutil") is not None:
        return None
    has = "no synth-pools" if found is None else f"synth-pools {found}"
    if found == version:
        has += " without the extra `local`"
    return f"the node has {has}: install 'synth-pools[local,ray]=={version}' there"


def _end_with(lines: Any, order: str) -> None:
    """End this process when the supervisor has ended, and what it may have left before."""
    said = b""
    try:
        said = lines.read()
    except OSError as error:
        print(f"the supervisor is lost: {error}", file=sys.stderr)  # noqa: T201
    try:
        if said != ENDED:
            subprocess.run(  # noqa: S603 - our own module
                [sys.executable, "-P", "-m", f"{_PACKAGE}.node_launchers"],
                input=order.encode(),
                timeout=_END_SECONDS,
                check=False,
            )
    finally:
        os._exit(0)
