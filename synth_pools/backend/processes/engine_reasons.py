"""Reasons for which an engine failed, in one line, with what helps where that is known."""

from __future__ import annotations

from collections.abc import Iterable

_LONGEST_REASON = 500

# Before what an engine says; the rest of such a line is the reason itself.
_PREFIXES = ("docker: ", "Error response from daemon: ", "Error: ")
# Notes of podman's own log: they may be beside the point, and are all there is sometimes.
_NOTE = "time="

_START_DOCKER = "start it: systemctl start docker"
# What is in an engine's words, in small letters, where the machine lacks what it takes; what helps.
_REMEDIES = {
    "/dev/net/tun": (
        "without root a container with a network takes the right to read and write /dev/net/tun: "
        'give it to the user of the backend, or ask for "network": "none"'
    ),
    "could not find pasta": (
        'without root a network takes the program pasta: install passt, or ask for "network": '
        '"none"'
    ),
    "newuidmap": (
        "without root podman takes newuidmap and newgidmap: install uidmap, and give the user of "
        "the backend a range in /etc/subuid and /etc/subgid"
    ),
    "cannot clone": (
        "without root podman takes user namespaces, which this machine refuses: allow them, as in "
        "/proc/sys/user/max_user_namespaces, or run the backend as root"
    ),
    "permission denied while trying to connect to the docker": (
        "the user of the backend has to be in the group of that socket, docker as a rule"
    ),
    "is the docker daemon running": _START_DOCKER,
    # Of docker 29 and later.
    "if the daemon is running": _START_DOCKER,
}


def reason_of(lines: Iterable[str]) -> str:
    """Return in one line why a command of an engine failed, from what it wrote."""
    told = [line.strip() for line in lines if line.strip()]
    if not told:
        return "it did not say why"
    reason = _cut(_chosen(told))[:_LONGEST_REASON]
    remedy = _remedy(reason) or _remedy("\n".join(told))
    return reason if remedy is None else f"{reason} ({remedy})"


def _chosen(told: list[str]) -> str:
    places = [place for place, line in enumerate(told) if line.startswith(("Error", "docker: "))]
    if not places:
        spoken = [line for line in told if not line.startswith(_NOTE)]
        return (spoken or told)[-1]
    line, *further = told[places[-1] :]
    # What a program of the engine's said follows after a colon.
    return f"{line} {further[0]}" if line.endswith(":") and further else line


def _cut(line: str) -> str:
    for said in _PREFIXES:
        line = line.removeprefix(said)
    return line


def _remedy(text: str) -> str | None:
    text = text.lower()
    return next((remedy for word, remedy in _REMEDIES.items() if word in text), None)
