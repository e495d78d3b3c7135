"""Sockets of the sync client: how they are woken, and that they are closed."""

from __future__ import annotations

import contextlib
import socket
import ssl

import pytest

from synth_pools._client.runtime.sync_.interrupts import Alarm, Interrupt
from synth_pools._client.runtime.sync_.sockets import start_tls

LIMIT = 60.0


def test_what_is_waited_for_after_the_stop_is_woken_at_once() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:

        class Reader:
            def wake(self) -> None:
                theirs.shutdown(socket.SHUT_RDWR)

        theirs.settimeout(LIMIT)
        interrupt = Interrupt()
        interrupt.stop()
        with interrupt.reading(Reader()):
            assert theirs.recv(1) == b""


def test_a_socket_that_cannot_speak_tls_is_closed() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        with pytest.raises(ValueError, match="server_hostname"):
            start_tls(ours, ssl.create_default_context(), "", LIMIT, Alarm())
        assert ours.fileno() == -1


def test_a_socket_whose_handshake_fails_is_closed() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.settimeout(LIMIT)
        theirs.send(b"this is no handshake")
        with pytest.raises(ssl.SSLError) as caught:
            start_tls(ours, ssl.create_default_context(), "localhost", LIMIT, Alarm())
        # As long as its error is held, nothing else closes it, with what it has not read.
        with contextlib.suppress(ConnectionResetError):
            while theirs.recv(65_536):
                pass
        assert caught.value.reason
