"""Sockets with a time limit for each wait, and a way for other threads to end the wait."""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import ssl
import threading
from collections.abc import Iterator
from typing import Any

from synth_pools._client.runtime import register_for_forks
from synth_pools._client.runtime.sockets import NEXT_ADDRESS_SECONDS, Addresses
from synth_pools._client.runtime.sync_.interrupts import (
    Alarm,
    interruptible,
    is_limited,
    limit_waiting,
    time_left,
)

# Most seconds of one wait; the system refuses more than 24 days.
_LONGEST = 86_400.0
# For a few sockets `poll` takes less time than the default, but Windows does not have it.
_Selector = getattr(selectors, "PollSelector", selectors.DefaultSelector)
_WOKEN = "closed while it was connecting"


def shut_down_socket(raw: Any) -> None:
    """Shut down a socket, which wakes the thread that waits for it."""
    if isinstance(raw, socket.socket):
        # The method of a TLS socket would drop the state that its reader uses.
        with contextlib.suppress(OSError):
            socket.socket.shutdown(raw, socket.SHUT_RDWR)


def connect(
    host: str, port: int, timeout: float, alarm: Alarm, addresses: Addresses
) -> socket.socket:
    """Connect to the first address of a host that accepts the connection.

    Args:
        host: Its name or address.
        port: Its port.
        timeout: Seconds for each address.
        alarm: Wakes the waiting thread.
        addresses: The order of the addresses.

    Raises:
        TimeoutError: The last address did not answer in time.
        OSError: No address accepted the connection.
    """
    waiting = addresses.order(look_up(host, port))
    failure = OSError("the host has no address")
    with contextlib.closing(_Attempts()) as attempts, interruptible(attempts):
        alarm.add(attempts)
        while (waiting or attempts.sockets) and not attempts.is_woken:
            seconds = min(timeout, NEXT_ADDRESS_SECONDS if len(waiting) > 1 else _LONGEST)
            try:
                if waiting:
                    attempts.begin(waiting.pop(0))
                raw = attempts.wait(limit_waiting(seconds))
            except OSError as error:
                failure = error
                continue
            if raw is not None and not attempts.is_woken:
                addresses.answered = attempts.sockets.pop(raw)
                raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return raw
            if not waiting:
                failure = TimeoutError()
                break
    raise ConnectionAbortedError(_WOKEN) if attempts.is_woken else failure


class _Attempts:
    """Attempts to connect to the addresses of a host.

    Attributes:
        sockets: Sockets that are connecting, with the results of `socket.getaddrinfo`.
        is_woken: Whether another thread ended the attempts.
    """

    def __init__(self) -> None:
        self._selector = _Selector()
        self.sockets: dict[socket.socket, Any] = {}
        self.is_woken = False

    def wake(self) -> None:
        self.is_woken = True
        for raw in list(self.sockets):
            shut_down_socket(raw)

    def close(self) -> None:
        """Close the sockets that are still connecting."""
        self._selector.close()
        for raw in self.sockets:
            raw.close()

    def begin(self, result: Any) -> None:
        """Begin to connect to an address; raise `OSError` if that fails at once."""
        family, kind, protocol, _, address = result
        raw = socket.socket(family, kind, protocol)
        try:
            raw.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                raw.connect(address)
            self._selector.register(raw, selectors.EVENT_WRITE, raw)
        except BaseException:
            raw.close()
            raise
        self.sockets[raw] = result

    def wait(self, seconds: float) -> socket.socket | None:
        """Return a socket that has connected; None if no attempt ended in time.

        Raises:
            OSError: An attempt failed.
        """
        for key, _ in self._selector.select(seconds):
            raw: socket.socket = key.data
            if code := raw.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self._selector.unregister(raw)
                del self.sockets[raw]
                raw.close()
                raise OSError(code, os.strerror(code))
            return raw
        return None


def start_tls(
    raw: socket.socket,
    context: ssl.SSLContext,
    host: str | None,
    timeout: float | None,
    alarm: Alarm,
) -> ssl.SSLSocket:
    """Start TLS over a socket; close the socket if that fails.

    Args:
        raw: The socket.
        context: The TLS context.
        host: The name that the certificate must have.
        timeout: Seconds for each step; None for no limit.
        alarm: Wakes the waiting thread.

    Raises:
        TimeoutError: The other end did not answer in time.
        OSError: The handshake failed.
        ValueError: The name is not valid.
    """
    try:
        wrapped = context.wrap_socket(
            raw, server_hostname=host, do_handshake_on_connect=False, suppress_ragged_eofs=False
        )
    except BaseException:
        raw.close()
        raise
    with _connecting(wrapped, alarm):
        wrapped.settimeout(time_left(timeout, TimeoutError))
        wrapped.do_handshake()
    return wrapped


class _Socket:
    """Socket while it connects or makes its handshake."""

    def __init__(self, raw: socket.socket) -> None:
        self._raw = raw
        self.is_woken = False

    def wake(self) -> None:
        self.is_woken = True
        shut_down_socket(self._raw)


@contextlib.contextmanager
def _connecting(raw: socket.socket, alarm: Alarm) -> Iterator[None]:
    """Close a socket if the block raises, and let the alarm wake the block."""
    waiting = _Socket(raw)
    try:
        alarm.add(waiting)
        with interruptible(waiting):
            yield
        if waiting.is_woken:
            raise ConnectionAbortedError(_WOKEN)
    except BaseException:
        raw.close()
        raise


class _Lookups:
    """Resolutions of names that have not ended, by host and port."""

    def __init__(self) -> None:
        self.drop_after_fork()
        register_for_forks(self)

    def drop_after_fork(self) -> None:
        """Forget the threads of the parent, and take a new lock."""
        self.lock = threading.Lock()
        self.running: dict[tuple[str, int], _Lookup] = {}


_lookups = _Lookups()


def look_up(host: str, port: int) -> list[Any]:
    """Return the result of `socket.getaddrinfo`, within the time limit of the thread.

    Raises:
        TimeoutError: The name was not resolved in time.
        OSError: There is no such name.
    """
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except OSError:
        pass
    if not is_limited():
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    # Name resolution takes no time limit, so it runs in a thread, which serves all its callers.
    key = (host, port)
    with _lookups.lock:
        lookup = _lookups.running.get(key)
        if lookup is None:
            lookup = _lookups.running[key] = _Lookup(key)
            try:
                lookup.thread.start()
            except BaseException:
                del _lookups.running[key]
                raise
    return lookup.result()


class _Lookup:
    """Resolution of one name in a thread, so that the wait for it can be limited."""

    def __init__(self, key: tuple[str, int]) -> None:
        self._key = key
        self._result: list[Any] = []
        self._error: OSError | None = None
        self.thread = threading.Thread(target=self._run, name="synth-pools-lookup", daemon=True)
        self._done = threading.Event()

    def _run(self) -> None:
        host, port = self._key
        try:
            self._result = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            self._error = OSError(str(error))
        finally:
            with _lookups.lock:
                _lookups.running.pop(self._key, None)
            self._done.set()

    def result(self) -> list[Any]:
        if not self._done.wait(time_left(None, TimeoutError)):
            raise TimeoutError("the name was not found in time")
        if self._error is not None:
            raise OSError(*self._error.args)
        return self._result
