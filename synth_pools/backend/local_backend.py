"""The local backend as an object, for tests, notebooks and the command line."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import http.client
import os
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from synth_pools.backend.api.app import create_app
from synth_pools.backend.api.live_page import new_links
from synth_pools.backend.api_keys import key_problem, read_keys_file, stored_key
from synth_pools.backend.domain import clock
from synth_pools.backend.errors import BadOptionError, DataDirError, LocalBackendError
from synth_pools.backend.limits import Limits
from synth_pools.backend.processes.ray_cluster.cluster import CONNECT_SECONDS
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
from synth_pools.backend.storage.migrations import is_migrating
from synth_pools.backend.storage.sqlite.database import DatabaseError
from synth_pools.ui.sessions import LoginLinks

if TYPE_CHECKING:
    from synth_pools import AsyncContainerPoolsClient, ContainerPoolsClient

_START_LIMIT_SECONDS = 30.0
_STOP_LIMIT_SECONDS = 15.0


class LocalBackend:
    """Backend in a thread: `with LocalBackend() as backend: backend.client()`.

    The thread has its own event loop, so blocking code does not stop the backend. It runs within
    `with` or `async with`, or from `start` to `stop`. Several backends may run at once.

    Args:
        data_dir: The directory of all data of the backend, made if missing; None is a temporary
            one, removed at the stop.
        store: The URL of the PostgreSQL database for pools, rollouts and events, which needs the
            extra `postgres` and may be shared by several backends; None stores them in `data_dir`.
        query_store: The same database's URL by a user who reads the views of queries and nothing
            else; None answers no queries of a `store`.
        artifacts_dir: The folder of the contents of artifacts, which backends with a common `store`
            share too; None stores them in `data_dir`.
        artifacts: Instead of a folder, a bucket of S3-compatible storage for the contents,
            s3://bucket/prefix; it needs the extra `s3`, and the usual variables of AWS.
        artifacts_endpoint: The address of the service of the bucket; None is that of
            AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL, or Amazon's.
        host: The name or address to listen on. One that other machines can reach needs an
            `api_key` or an `api_keys_file`.
        port: The port to listen on; 0 picks a free one.
        api_key: The key that clients must send; None is the one stored in `data_dir`, made if
            missing.
        api_keys_file: Instead of one key, a file of several with names, one `name: key` per line,
            readable only by its owner. After a key may follow `scopes=` (`metrics`, `read`, `run`,
            `admin`) and `expires=` (a day). It may change while the backend runs.
        container_hosts: Hosts besides this machine whose containers may be called.
        container_key_envs: Environment variables, besides the usual ones, that pools may name as
            the source of their containers' key.
        allow_processes: True allows pools to start processes on this machine (`config.process`).
        process_envs: Environment variables that these processes get, such as OPENAI_API_KEY; their
            values are stored nowhere, and masked in the processes' output.
        allow_images: True allows pools to start containers of images on this machine by podman or
            docker (`config.image`).
        mount_folders: Folders that these containers may read if their pool asks for it.
        ray: The address of a Ray cluster for the containers of pools with `launcher: ray`: `auto`,
            HOST:PORT or ray://HOST:PORT; needs the extra `ray`.
        health_interval: Seconds between two checks of a container, at most 3600.
        allowed_hosts: Host names besides this machine's under which clients may call the backend.
        forwarded_allow_ips: Addresses and networks of proxies besides this machine's whose
            `X-Forwarded-Proto` and `X-Forwarded-For` are believed; `*` is every client.
        limits: Limits on its load; None is `Limits()`.
        grace: Seconds that running rollouts have to end at a stop, at most 86,400.
        keep_finished: Seconds after which finished rollouts are deleted; None keeps them for ever.
        keep_artifacts: Bytes of contents of artifacts beyond which the oldest are removed; None
            keeps all.
        validate_responses: True checks each response against openapi.yaml, and answers 500 instead
            of one that departs from it, for tests.

    Raises:
        LocalBackendError: An option cannot work on any machine (`BadOptionError`, which is a
            `ValueError` too). `start` raises it if the backend cannot run on this one.
    """

    def __init__(
        self,
        data_dir: str | os.PathLike[str] | None = None,
        *,
        store: str | None = None,
        query_store: str | None = None,
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
        process_envs: Iterable[str] = (),
        allow_images: bool = False,
        mount_folders: Iterable[str | os.PathLike[str]] = (),
        ray: str | None = None,
        health_interval: float = 5.0,
        allowed_hosts: Iterable[str] = (),
        forwarded_allow_ips: Iterable[str] = (),
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
            # Our own clients may use any of the keys.
            self._chosen_key = next(iter(read_keys_file(self._keys_file).values())).secret
        else:
            self._keys_file = None
        self._options = BackendOptions.checked(
            limits,
            store=store,
            query_store=query_store,
            artifacts_dir=artifacts_dir,
            artifacts=artifacts,
            artifacts_endpoint=artifacts_endpoint,
            container_hosts=container_hosts,
            container_key_envs=container_key_envs,
            allow_processes=allow_processes,
            process_envs=process_envs,
            allow_images=allow_images,
            mount_folders=mount_folders,
            ray=ray,
            health_interval=health_interval,
            allowed_hosts=allowed_hosts,
            forwarded_allow_ips=forwarded_allow_ips,
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
            # The thread cannot be cancelled, and a backend that it starts must not outlive the
            # caller.
            with contextlib.suppress(Exception):
                await starting
            await asyncio.to_thread(self.stop)
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.shield(asyncio.create_task(asyncio.to_thread(self.stop)))

    @property
    def url(self) -> str:
        """The base URL of the backend, for clients on this machine."""
        return self._running().url

    @property
    def api_key(self) -> str:
        """The key that clients must send; the first of several."""
        return self._running().settings.api_key.reveal()

    @property
    def data_dir(self) -> Path:
        """The directory of all its data."""
        return self._running().data_dir.path

    @property
    def key_file(self) -> Path | None:
        """The file with the key if the backend made it; None if the caller chose the key."""
        run = self._running()
        return None if self._chosen_key is not None else run.data_dir.key_file

    def page_url(self) -> str:
        """Return an address of the live page that logs in once, within an hour.

        The address gives all rights of the key, so keep it secret.
        """
        run = self._running()
        return f"{run.url}/ui/#login={run.links.issue()}"

    @property
    def running(self) -> bool:
        """True while it serves; false before `start`, after `stop`, and after a failure."""
        run = self._run
        return run is not None and run.thread.running

    def client(self, *, timeout: float = 30.0) -> ContainerPoolsClient:
        """Return a client of this backend, which the caller closes.

        Args:
            timeout: Time limit of a call in seconds.
        """
        # Imported here, since the backend itself does not need the client.
        from synth_pools import ContainerPoolsClient

        return ContainerPoolsClient(api_key=self.api_key, backend_base=self.url, timeout=timeout)

    def async_client(self, *, timeout: float = 30.0) -> AsyncContainerPoolsClient:
        """Return an async client of this backend, which the caller closes.

        Args:
            timeout: Time limit of a call in seconds.
        """
        # Imported here, as above.
        from synth_pools import AsyncContainerPoolsClient

        return AsyncContainerPoolsClient(
            api_key=self.api_key, backend_base=self.url, timeout=timeout
        )

    @staticmethod
    def environment(
        reference: str,
        *,
        replicas: int = 1,
        python: str | os.PathLike[str] | None = None,
        folder: str | os.PathLike[str] | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Return the body of a pool whose processes are an environment, which the caller creates.

        The backend needs `allow_processes`.

        Args:
            reference: A kind, a colon and a name, such as `gymnasium:CartPole-v1`.
            replicas: The number of processes.
            python: The Python that has the framework; None for that of `synth-pools env install`,
                or this one.
            folder: The folder of its modules and files; None for the current one.
            variables: Variables of the processes. They are stored and answered: no secret is one,
                for which there is `process_envs`.

        Raises:
            ValueError: There is no such kind.
            NotInstalledError: There is no Python that has the framework.
        """
        # Imported here, since few backends start environments.
        from synth_pools.environments.pythons import environment_pool

        return environment_pool(
            reference, replicas=replicas, python=python, folder=folder, variables=variables
        )

    def start(self) -> None:
        """Start the backend and return when it answers.

        Raises:
            LocalBackendError: The address or the directory cannot be used (`AddressError`,
                `DataDirError`, `DataDirLockedError`), or the backend did not answer in time
                (`StartTimeoutError`).
            RuntimeError: The backend is started already.
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
                # After the address, so that a port in use leaves no directory behind.
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
                    limit += CONNECT_SECONDS
                thread = ServerThread(
                    lambda: create_app(settings, links),
                    listener,
                    settings,
                    grace=settings.grace_seconds,
                    proxies=settings.forwarded_allow_ips,
                )
                undo.callback(thread.stop, _STOP_LIMIT_SECONDS)
                try:
                    deadline = thread.start(limit, is_migrating)
                except DatabaseError as error:
                    raise DataDirError(
                        f"cannot open the database in {data_dir.path}: {error}; "
                        "repair it, or give another data directory"
                    ) from error
                run = _Run(base_url(listener), settings, thread, data_dir, links)
                run.check_answer(deadline)
                undo.pop_all()
            self._run = run
            # Notebooks rarely stop a backend; its rollouts must be saved anyway.
            atexit.register(self._stop_at_exit)

    def stop(self) -> None:
        """End streams, requests and rollouts, each within a limit; do nothing if stopped.

        Raises:
            LocalBackendError: The backend did not end in time (`StopTimeoutError`), or had failed
                before.
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
    """Run of the backend from a start to its stop."""

    url: str
    settings: Settings
    thread: ServerThread
    data_dir: DataDir
    links: LoginLinks

    def check_answer(self, deadline: float) -> None:
        """Send one real request, so that the URL answers from now on."""
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
        # The first of several keys may have no scope for it, or have ended.
        if status not in (200, 401, 403):
            raise LocalBackendError(f"the backend at {self.url} answers its first call {status}")

    def stop(self) -> None:
        # A backend that did not stop still writes, so its directory stays locked.
        self.thread.stop(_STOP_LIMIT_SECONDS)
        self.data_dir.close()
        if self.thread.failure is not None:
            raise LocalBackendError(
                f"the backend stopped with an error: {self.thread.failure}"
            ) from self.thread.failure
