"""A container engine, used by its command line: podman, or docker with the same arguments."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from synth_pools.backend.processes.child import beside_others
from synth_pools.backend.processes.engine_reasons import reason_of
from synth_pools.backend.processes.launcher import IMAGE, LaunchError

_log = logging.getLogger(__name__)

# The variables that an engine may need to run a container, besides those of every program.
ENGINE_VARIABLES = (
    *("CONTAINER_HOST", "CONTAINER_SSHKEY", "CONTAINER_CONNECTION", "CONTAINERS_*"),
    *("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_TLS*", "DOCKER_CERT_PATH"),
    *("DOCKER_API_VERSION", "STORAGE_DRIVER", "STORAGE_OPTS", "_CONTAINERS_*", "SSH_AUTH_SOCK"),
    *("XDG_*", "DBUS_SESSION_BUS_ADDRESS", "USER", "LOGNAME"),
    # Podman passes these on to containers.
    *("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY"),
    *("http_proxy", "https_proxy", "ftp_proxy", "no_proxy"),
)

ENGINES = ("podman", "docker")
# Label of the containers of backends; its value tells which backend.
LABEL = "synth-pools.backend"
UNAVAILABLE = "engine_unavailable"

# Time limits of a query or removal, and of a pull, which may fetch gigabytes.
_COMMAND_SECONDS = 60.0
_PULL_SECONDS = 3600.0

# Runs a command at once, and again after each of these pauses in seconds.
_AGAIN = 'for pause in 0 2 10 30; do sleep "$pause"; "$@"; done'

# Controllers that enforce limits, by the names of podman and of docker.
_ENFORCED_BY = {
    "memory_mb": ("memory", "MemoryLimit"),
    "cpus": ("cpu", "CpuCfsQuota"),
    "pids": ("pids", "PidsLimit"),
}


class EngineError(Exception):
    """A command of an engine failed; the message is the engine's own.

    Args:
        message: The message, in one line.
        lines: All lines of the engine.
    """

    def __init__(self, message: str, lines: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.lines = lines


@dataclass(frozen=True, slots=True)
class Image:
    """Image of an engine: its id, and the digest that registries know it by."""

    id: str
    digest: str


@dataclass(frozen=True, slots=True)
class EndedState:
    """State of a container that has ended, as its engine reports it."""

    was_started: bool
    ran_out_of_memory: bool


def installed(name: str | None) -> str | None:
    """Return the engine of this name, or the first installed one; None if it is missing."""
    names = ENGINES if name is None else (name,)
    return next((name for name in names if name in ENGINES and shutil.which(name)), None)


def missing(name: str | None) -> str:
    """Return an error message for a missing engine."""
    engines = "podman or docker" if name is None else name
    return f"{engines} is not on the PATH of the backend: install it there"


class ContainerEngine:
    """Container engine of this machine, by its name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._is_podman = name == "podman"
        self._enforces: frozenset[str] | None = None

    async def require(self, limits: Iterable[str]) -> None:
        """Check that the engine works, and enforces these limits.

        Raises:
            LaunchError: It does not work, or cannot enforce a limit.
        """
        if self._enforces is None:
            try:
                described = json.loads(await self._ask("info", "--format", "{{json .}}"))
                # With some versions of docker the command succeeds if the daemon does not answer.
                if complaints := described.get("ServerErrors"):
                    raise EngineError(reason_of(map(str, complaints)))
            except (EngineError, ValueError) as error:
                raise LaunchError(UNAVAILABLE, f"{self.name} does not work: {error}") from error
            self._is_podman = "host" in described
            self._enforces = frozenset(_enforced(described))
        for limit in limits:
            if limit not in self._enforces:
                message = (
                    f"{self.name} cannot enforce config.image.{limit} here: its control groups "
                    "lack the controller. Leave the limit out, or run the engine as root or with "
                    "delegated control groups."
                )
                raise LaunchError(UNAVAILABLE, message)

    async def find_image(self, reference: str) -> Image | None:
        """Return an image of the engine; None if it lacks the image."""
        digest = reference.partition("@")[2]
        try:
            text = await self._ask("image", "inspect", "--format", "{{json .}}", reference)
        except EngineError:
            return await self._find_digest(digest) if digest else None
        described = json.loads(text)
        # With docker, an image that was never in a registry has no digest.
        digests = [str(name).partition("@")[2] for name in described.get("RepoDigests") or ()]
        identity = str(described["Id"]).removeprefix("sha256:")
        return Image(identity, next(filter(None, (digest, *digests)), f"sha256:{identity}"))

    async def _find_digest(self, digest: str) -> Image | None:
        """Return an image by its digest or id alone: its name may be that of a later one by now."""
        words = ("images", "--no-trunc", "--digests", "--format", "{{.ID}} {{.Digest}}")
        with contextlib.suppress(EngineError):
            for line in (await self._ask(*words)).splitlines():
                if digest in line.split():
                    return Image(line.split()[0].removeprefix("sha256:"), digest)
        return None

    async def pull(self, reference: str, write: Callable[[bytes], None]) -> None:
        """Pull an image.

        Args:
            reference: Its reference.
            write: Receives the engine's output.

        Raises:
            LaunchError: The pull failed.
        """
        # Without `docker://` podman may take a prefix for a folder or archive of the machine.
        source = f"docker://{reference}" if self._is_podman else reference
        try:
            await self._run(("pull", source), _PULL_SECONDS, write)
        except EngineError as error:
            message = f"The image {reference} could not be pulled: {error}"
            raise LaunchError(IMAGE, message) from error

    def run_words(self, name: str) -> list[str]:
        """Return the first arguments of a command that runs a container until its end."""
        words = ["run", "--name", name, "--log-driver", "none", "--sig-proxy=false"]
        words += ["--pull", "never", "--security-opt", "no-new-privileges"]
        # Podman passes the caller's proxy, with its password, to the container; docker does not.
        return [*words, "--http-proxy=false"] if self._is_podman else words

    async def state(self, container: str) -> EndedState:
        """Return the state of a container that has ended, or was never created."""
        template = "{{.State.OOMKilled}} {{.State.Status}}"
        try:
            text = await self._ask("container", "inspect", "--format", template, container)
        except EngineError:
            return EndedState(was_started=False, ran_out_of_memory=False)
        killed, _, status = text.strip().partition(" ")
        started = status not in ("created", "configured", "initialized")
        return EndedState(was_started=started, ran_out_of_memory=killed == "true")

    async def stop(self, containers: Sequence[str], patience_seconds: float) -> None:
        """Stop containers: SIGTERM, and SIGKILL after a time."""
        seconds = str(int(patience_seconds))
        with contextlib.suppress(EngineError):
            # A container may have ended meanwhile.
            await self._ask("stop", "-t", seconds, *self._ignoring(), *containers)

    async def remove(self, containers: Sequence[str]) -> bool:
        """Kill and remove containers; ignore missing ones.

        Returns:
            False if one may be left: an engine that is busy gives up the end of a container, which
            then ends nevertheless.
        """
        try:
            await self._ask(*self._removal(containers))
        except EngineError as error:
            # Each missing one has a line of its own.
            errors = [line for line in error.lines if line.startswith("Error")] or [str(error)]
            if all("no such container" in line.lower() for line in errors):
                return True
            _log.warning("%s cannot remove a container: %s", self.name, error)
            return False
        return True

    def remove_in_background(self, containers: Sequence[str]) -> None:
        """Kill and remove containers by commands that outlive this program.

        They run several times: the engine may still be creating a container.
        """
        command = ["sh", "-c", _AGAIN, "sh", self.name, *self._removal(containers)]

        def remove() -> None:
            with contextlib.suppress(OSError):
                subprocess.run(  # noqa: S603 - the engine, and our own names
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                    check=False,
                )

        threading.Thread(target=remove, name="synth-pools-remove", daemon=True).start()

    async def labelled(self, label: str) -> list[str]:
        """Return the names of all containers with a label, running or not.

        Raises:
            EngineError: The engine does not work.
        """
        words = ("ps", "--all", "--format", "{{.Names}}", "--filter", f"label={label}")
        names = await self._ask(*words)
        return names.split()

    def _removal(self, containers: Sequence[str]) -> list[str]:
        return ["rm", "--force", "--volumes", *self._ignoring(), *containers]

    def _ignoring(self) -> list[str]:
        # Otherwise podman removes nothing if one of the containers is missing.
        return ["--ignore"] if self._is_podman else []

    async def _ask(self, *words: str) -> str:
        output = bytearray()
        await self._run(words, _COMMAND_SECONDS, None, output)
        return output.decode("utf-8", "replace")

    async def _run(
        self,
        words: Sequence[str],
        limit_seconds: float,
        write: Callable[[bytes], None] | None,
        output: bytearray | None = None,
    ) -> None:
        """Run a command; store its output in `output`, and pass output and errors to `write`."""
        output = bytearray() if output is None else output
        complaints = bytearray()
        try:
            process = await beside_others(
                asyncio.create_subprocess_exec,
                self.name,
                *words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise EngineError(missing(self.name)) from error
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        assert process.stderr is not None  # noqa: S101
        try:
            async with asyncio.timeout(limit_seconds):
                await asyncio.gather(
                    _read(process.stdout, output, write), _read(process.stderr, complaints, write)
                )
                code = await process.wait()
        except TimeoutError:
            doing = f"{self.name} {words[0]}"
            raise EngineError(f"{doing} took longer than {limit_seconds:g} seconds") from None
        finally:
            if process.returncode is None:
                process.kill()
                # The event loop reaps it.
                with contextlib.suppress(ProcessLookupError):
                    await asyncio.shield(process.wait())
        if code:
            lines = [line for line in complaints.decode("utf-8", "replace").splitlines() if line]
            raise EngineError(reason_of(lines), lines)


async def _read(
    stream: asyncio.StreamReader, buffer: bytearray, write: Callable[[bytes], None] | None
) -> None:
    while chunk := await stream.read(65536):
        if write is not None:
            write(chunk)
            del buffer[:-65536]
        buffer += chunk


def _enforced(described: Mapping[str, Any]) -> Iterable[str]:
    host = described.get("host")
    if isinstance(host, Mapping):
        controllers = host.get("cgroupControllers") or ()
        # Without root, version 1 of control groups enforces nothing, although it lists controllers.
        rootless = bool((host.get("security") or {}).get("rootless"))
        if rootless and host.get("cgroupVersion") != "v2":
            controllers = ()
        return [limit for limit, (word, _) in _ENFORCED_BY.items() if word in controllers]
    return [limit for limit, (_, word) in _ENFORCED_BY.items() if described.get(word) is True]
