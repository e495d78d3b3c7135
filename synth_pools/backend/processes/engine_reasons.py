"""Reason for the failure of an engine, in one line, with a remedy if one is known."""

from __future__ import annotations

from collections.abc import Iterable

_LONGEST_REASON = 500

# Prefixes of an engine's messages; the rest of the line is the reason.
_PREFIXES = ("docker: ", "Error response from daemon: ", "Error: ")
# Prefix of podman's log lines: often irrelevant, but sometimes the only output.
_NOTE = "time="

_START_DOCKER = "start it: systemctl start docker"
# Remedies by parts of messages, in lower case, that show what the machine lacks.
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
    # In docker 29 and later.
    "if the daemon is running": _START_DOCKER,
}


def reason_of(lines: Iterable[str]) -> str:
    """Find the reason for a failed command of an engine in its output."""
    output = [line.strip() for line in lines if line.strip()]
    if not output:
        return "it did not say why"
    reason = _cut(_chosen(output))[:_LONGEST_REASON]
    remedy = _remedy(reason) or _remedy("\n".join(output))
    return reason if remedy is None else f"{reason} ({remedy})"


def _chosen(output: list[str]) -> str:
    places = [place for place, line in enumerate(output) if line.startswith(("Error", "docker: "))]
    if not places:
        messages = [line for line in output if not line.startswith(_NOTE)]
        return (messages or output)[-1]
    line, *further = output[places[-1] :]
    # After a colon the next line is the message of a program that the engine ran.
    return f"{line} {further[0]}" if line.endswith(":") and further else line


def _cut(line: str) -> str:
    for prefix in _PREFIXES:
        line = line.removeprefix(prefix)
    return line


def _remedy(text: str) -> str | None:
    text = text.lower()
    return next((remedy for word, remedy in _REMEDIES.items() if word in text), None)
