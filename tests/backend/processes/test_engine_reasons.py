"""Reasons of failures of an engine, from what the engines themselves write."""

from __future__ import annotations

import pytest

from synth_pools.backend.processes.engine_reasons import reason_of

# As podman 5.4, docker 26 and docker 29 write it.
TUN = """
Error: pasta failed with exit code 1:
Failed to open() /dev/net/tun: Permission denied
Failed to set up tap device in namespace
"""
NO_PASTA = """
Error: could not find pasta, the network namespace can't be configured
"""
NO_NAMESPACES = """
time="2026-11-27T12:48:50Z" level=warning msg="\\"/\\" is not a shared mount"
cannot clone: No space left on device
user namespaces are not enabled in /proc/sys/user/max_user_namespaces
Error: cannot re-exec process
"""
NO_NEWUIDMAP = (
    'time="2026-11-27T12:49:25Z" level=error msg="command required for rootless mode with multiple '
    'IDs: exec: \\"newuidmap\\": executable file not found in $PATH"'
)
NO_DAEMON = """
Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?
"""
NO_API = (
    "failed to connect to the docker API at unix:///var/run/docker.sock; check if the path is "
    "correct and if the daemon is running: dial unix: connect: no such file or directory"
)
NO_RIGHT = (
    "permission denied while trying to connect to the Docker daemon socket at "
    "unix:///var/run/docker.sock: connect: permission denied"
)
NO_IMAGE = """
docker: Error response from daemon: No such image: nothing:1.
See 'docker run --help'.
"""


@pytest.mark.parametrize(
    ("reply", "reason", "remedy"),
    [
        (
            TUN,
            "pasta failed with exit code 1: Failed to open() /dev/net/tun: Permission denied",
            '"network": "none"',
        ),
        (NO_PASTA, "could not find pasta, the network namespace", "install passt"),
        (NO_NAMESPACES, "cannot re-exec process", "user namespaces, which this machine refuses"),
        (NO_NEWUIDMAP, 'time="2026-11-27T12:49:25Z" level=error', "install uidmap"),
        (NO_DAEMON, "Cannot connect to the Docker daemon", "systemctl start docker"),
        (NO_API, "failed to connect to the docker API", "systemctl start docker"),
        (NO_RIGHT, "permission denied while trying to connect", "in the group of that socket"),
    ],
)
def test_a_machine_that_lacks_something_is_told_what_helps(
    reply: str, reason: str, remedy: str
) -> None:
    reason_text = reason_of(reply.splitlines())
    assert reason_text.startswith(reason)
    assert remedy in reason_text.partition(" (")[2]
    assert "\n" not in reason_text


def test_other_reasons_are_told_as_they_are() -> None:
    assert reason_of(NO_IMAGE.splitlines()) == "No such image: nothing:1."
    assert reason_of(["Error: one:"]) == "one:"
    assert reason_of(["", " "]) == "it did not say why"
    assert len(reason_of(["x" * 9000])) == 500
