"""The local backend as an object, for tests, notebooks and the command line."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import http.client
import os
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from synth_pools.backend.api.app import create_app
from synth_pools.backend.api.live_page import new_links
from synth_pools.backend.api_keys import key_problem, read_keys_file, stored_key
from synth_pools.backend.domain import clock
from synth_pools.backend.errors import BadOptionError, DataDirError, LocalBackendError
from synth_pools.backend.limits import Limits
from synth_pools.backend.resources.open_files import raise_limit
from synth_pools.backend.server.listener import (
    base_url,
    check_port,
    is_loopback,
    open_listening_socket,
)
from synth_pools.backend.server.thread import ServerThread
from synth_pools.backend.settings import BackendOptions, Secret, Settings
from synth_pools.backend.storage.data_dir import DataDir
from synth_pools.backend.storage.sqlite.database import DatabaseError
from synth_pools.ui.sessions import LoginLinks

if TYPE_CHECKING:
    from synth_pools import AsyncContainerPoolsClient, ContainerPoolsClient

_START_LIMIT_SECONDS = 30.0
# More, where a Ray cluster is connected to first.
_CLUSTER_SECONDS = 60.0
_STOP_LIMIT_SECONDS = 15.0


class LocalBackend:
    """A backend of one's own: `with LocalBackend() as backend: backend.client()`.

    It runs in a thread with its own event loop, so that code which blocks does not stop it, whether
    it is used with `with`, with `async with`, or with `start` and `stop`. Several may run at once.

    Args:
        data_dir: The directory in which it keeps everything, made if need be; None is a temporary
            one, removed when it stops.
        store: The URL of the PostgreSQL database that pools, rollouts and events are kept in, which
            needs the extra `postgres` and may be shared by several backends; None keeps them in
            `data_dir`.
        artifacts_dir: The folder of the contents of artifacts, which backends that share a `store`
            share too; None keeps them in `data_dir`.
        artifacts: In place of a folder the bucket of S3-compatible storage that the contents are
            in, s3://bucket/prefix; it needs the extra `s3`, and the usual variables of AWS.
        artifacts_endpoint: The address of the service that has the bucket; None is that of
            AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL, or Amazon's.
        host: The name or address to listen on. One that other machines can reach needs an
            `api_key` or an `api_keys_file`.
        port: The port to listen on; 0 picks a free one.
        api_key: The key that clients must send; None is the one stored in `data_dir`, made if need
            be.
        api_keys_file: In place of one key a file of several with names, one `name: key` a line,
            which only its owner may read. It may change while the backend runs.
        container_hosts: Hosts besides this machine on which containers may be reached.
        container_key_envs: Environment variables, besides the usual ones, from which pools may have
            the key of their containers taken.
        allow_processes: Whether whoever may define pools may have processes started on this machine
            (`config.process`).
        allow_images: Whether they may have containers of images started on this machine by podman
            or docker (`config.image`).
        mount_folders: Folders of which these containers may read what their pool asks for.
        ray: The address of a Ray cluster that places the containers of pools that ask for it
            (`launcher: ray`): `auto`, HOST:PORT or ray://HOST:PORT; needs the extra `ray`.
        health_interval: Seconds from one look at a container to the next, at most 3600.
        allowed_hosts: Names besides this machine's by which clients may call the backend.
        limits: Limits on what it takes on; None is `Limits()`.
        grace: Seconds that rollouts which run have to end at a stop, at most 86,400.
        keep_finished: Seconds after which finished rollouts are forgotten; None keeps them for
            ever.
        keep_artifacts: Bytes of the contents of artifacts that are kept, the oldest going first;
            None keeps them all.
        validate_responses: Whether each response is checked against openapi.yaml and answered 500
            where it departs, as tests do.

    Raises:
        LocalBackendError: An option cannot work on any machine (`BadOptionError`, which is a
            `ValueError` too). `start` raises it where the backend cannot be had on this one.
    """

    def __init__(
        self,
        data_dir: str | os.PathLike[str] | None = None,
        *,
        store: str | None = None,
        artifacts_dir: str | os.PathLike[str] | None = None,
        artifacts: str | None = None,
        artifacts_endpoint: str | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        api_key: str | None = None,
        api_keys_file: str | os.PathLike[str] | None = None,
        container_hosts: Iterable[str] = (),
        container_key_envs: Iterable[str] = (),
        allow_processes: bool = False,
        allow_images: bool = False,
        mount_folders: Iterable[str | os.PathLike[str]] = (),
        ray: str | None = None,
        health_interval: float = 5.0,
        allowed_hosts: Iterable[str] = (),
        limits: Limits | None = None,
        grace: float = 0.0,
        keep_finished: float | None = None,
        keep_artifacts: int | None = None,
        validate_responses: bool = False,
    ) -> None:
        check_port(port)
        self._requested_dir = data_dir
        self._host = host
        self._port = port
        problem = None if api_key is None else key_problem(api_key)
        self._chosen_key = None if api_key is None or problem else Secret(api_key)
        api_key = None
        if problem is not None:
            raise BadOptionError(f"the API key {problem}")
        if api_keys_file is not None:
            if self._chosen_key is not None:
                raise BadOptionError("give one API key or a file of several, not both")
            self._keys_file: Path | None = Path(api_keys_file).expanduser().absolute()
            # Any of them is good enough for our own clients.
            self._chosen_key = next(iter(read_keys_file(self._keys_file).values()))
        else:
            self._keys_file = None
        self._options = BackendOptions.checked(
            limits,
            store=store,
            artifacts_dir=artifacts_dir,
            artifacts=artifacts,
            artifacts_endpoint=artifacts_endpoint,
            container_hosts=container_hosts,
            container_key_envs=container_key_envs,
            allow_processes=allow_processes,
            allow_images=allow_images,
            mount_folders=mount_folders,
            ray=ray,
            health_interval=health_interval,
            allowed_hosts=allowed_hosts,
            grace=grace,
            keep_finished=keep_finished,
            keep_artifacts=keep_artifacts,
            validate_responses=validate_responses,
        )
        self._lock = threading.RLock()
        self._run: _Run | None = None

    def __repr__(self) -> str:
        return f"<LocalBackend {self._run.url if self._run else 'stopped'}>"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        starting = asyncio.create_task(asyncio.to_thread(self.start))
        try:
            await asyncio.shield(starting)
        except asyncio.CancelledError:
            # The thread cannot be cancelled; what it starts must not outlive the caller.
            with contextlib.suppress(Exception):
                await starting
            await asyncio.to_thread(self.stop)
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.shield(asyncio.create_task(asyncio.to_thread(self.stop)))

    @property
    def url(self) -> str:
        """The address at which it answers, for clients on this machine."""
        return self._running().url

    @property
    def api_key(self) -> str:
        """The key that clients must send; the first one where there are several."""
        return self._running().settings.api_key.reveal()

    @property
    def data_dir(self) -> Path:
        """The directory in which it keeps everything."""
        return self._running().data_dir.path

    @property
    def key_file(self) -> Path | None:
        """The file that holds the key if the backend keeps it; None if the caller chose the key."""
        run = self._running()
        return None if self._chosen_key is not None else run.data_dir.key_file

    def page_url(self) -> str:
        """Return an address of the live page that logs in once, within an hour.

        Whoever has it can do what the key can: show it to nobody else.
        """
        run = self._running()
        return f"{run.url}/ui/#login={run.links.issue()}"

    @property
    def running(self) -> bool:
        """True while it serves: false before `start`, after `stop`, and when it broke down."""
        run = self._run
        return run is not None and run.thread.running

    def client(self, *, timeout: float = 30.0) -> ContainerPoolsClient:
        """Return a client of this backend, which the caller closes.

        Args:
            timeout: Seconds that a call may take.
        """
        # The client, of which the backend needs nothing else, is loaded by those who want one.
        from synth_pools import ContainerPoolsClient

        return ContainerPoolsClient(api_key=self.api_key, backend_base=self.url, timeout=timeout)

    def async_client(self, *, timeout: float = 30.0) -> AsyncContainerPoolsClient:
        """Return an async client of this backend, which the caller closes.

        Args:
            timeout: Seconds that a call may take.
        """
        # As above.
        from synth_pools import AsyncContainerPoolsClient

        return AsyncContainerPoolsClient(
            api_key=self.api_key, backend_base=self.url, timeout=timeout
        )

    def start(self) -> None:
        """Start the backend and return when it answers.

        Raises:
            LocalBackendError: It cannot be had: the address or the directory cannot be used
                (`AddressError`, `DataDirError`, `DataDirLockedError`), or it did not answer in time
                (`StartTimeoutError`).
            RuntimeError: It is started already.
        """
        with self._lock:
            if self._run is not None:
                raise RuntimeError("this backend is started already: stop it first")
            raise_limit()
            with contextlib.ExitStack() as undo:
                listener = undo.enter_context(open_listening_socket(self._host, self._port))
                if self._chosen_key is None and not is_loopback(listener):
                    raise BadOptionError(
                        f"{self._host} can be reached from other machines: "
                        "listen on 127.0.0.1, or choose an API key yourself: api_key= of "
                        "LocalBackend; --api-key-file or SYNTH_POOLS_API_KEY of `synth-pools serve`"
                    )
                # After the address: a port that is taken leaves no directory behind.
                data_dir = undo.enter_context(DataDir(self._requested_dir))
                settings = Settings.at_start(
                    self._options,
                    own_host=self._host,
                    own_port=listener.getsockname()[1],
                    local_containers=is_loopback(listener),
                    data_dir=data_dir.path,
                    api_key=self._chosen_key or stored_key(data_dir.key_file),
                    api_keys_file=self._keys_file,
                )
                links = new_links()
                limit = _START_LIMIT_SECONDS
                if settings.ray is not None:
                    limit += _CLUSTER_SECONDS
                deadline = clock.monotonic() + limit
                thread = ServerThread(
                    lambda: create_app(settings, links),
                    listener,
                    settings,
                    grace=settings.grace_seconds,
                )
                undo.callback(thread.stop, _STOP_LIMIT_SECONDS)
                try:
                    thread.start(limit)
                except DatabaseError as error:
                    raise DataDirError(
                        f"cannot open the database in {data_dir.path}: {error}; "
                        "repair it, or give another data directory"
                    ) from error
                run = _Run(base_url(listener), settings, thread, data_dir, links)
                run.check_answer(deadline)
                undo.pop_all()
            self._run = run
            # A notebook rarely stops what it starts; its rollouts should still be put away.
            atexit.register(self._stop_at_exit)

    def stop(self) -> None:
        """End streams, requests and rollouts, each within a limit; harmless when stopped.

        Raises:
            LocalBackendError: It did not come to rest in time (`StopTimeoutError`), or it had
                broken down before.
        """
        with self._lock:
            run, self._run = self._run, None
            if run is None:
                return
            atexit.unregister(self._stop_at_exit)
            run.stop()

    def _stop_at_exit(self) -> None:
        with contextlib.suppress(LocalBackendError):
            self.stop()

    def _running(self) -> _Run:
        run = self._run
        if run is None:
            raise RuntimeError("this backend is not started: use `with`, `async with` or `start`")
        return run


@dataclass(frozen=True)
class _Run:
    """One run of the backend, from a start to its stop."""

    url: str
    settings: Settings
    thread: ServerThread
    data_dir: DataDir
    links: LoginLinks

    def check_answer(self, deadline: float) -> None:
        """Make one real request: whoever is told the URL finds an answer there to the key."""
        address = urlsplit(self.url)
        connection = http.client.HTTPConnection(
            address.hostname or "", address.port, timeout=max(0.1, deadline - clock.monotonic())
        )
        authorization = f"Bearer {self.settings.api_key.reveal()}"
        try:
            with contextlib.closing(connection):
                connection.request(
                    "GET", "/v1/capabilities", headers={"Authorization": authorization}
                )
                status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            raise LocalBackendError(
                f"the backend at {self.url} does not answer: {error}"
            ) from error
        if status != 200:
            raise LocalBackendError(f"the backend at {self.url} answers its first call {status}")

    def stop(self) -> None:
        # A backend that did not stop still writes: then its directory stays locked.
        self.thread.stop(_STOP_LIMIT_SECONDS)
        self.data_dir.close()
        if self.thread.failure is not None:
            raise LocalBackendError(
                f"the backend stopped with an error: {self.thread.failure}"
            ) from self.thread.failure
