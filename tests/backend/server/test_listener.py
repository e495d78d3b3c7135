"""Listening sockets: their ports after a restart, and the URLs that lead to them."""

from __future__ import annotations

import socket

import pytest

from synth_pools.backend.errors import AddressError, BadOptionError
from synth_pools.backend.server.listener import (
    base_url,
    check_port,
    is_loopback,
    open_listening_socket,
)


def test_a_restart_does_not_wait_for_the_connections_of_the_former_process() -> None:
    with open_listening_socket("127.0.0.1", 0) as listener:
        address = listener.getsockname()
        with socket.create_connection(address, timeout=60) as client:
            accepted, _ = listener.accept()
            # The side that closes first keeps the port busy for a minute.
            accepted.close()
            assert client.recv(1) == b""
    with open_listening_socket(*address) as again:
        assert again.getsockname() == address
        # No other socket takes it.
        with pytest.raises(AddressError):
            open_listening_socket(*address)


@pytest.mark.parametrize(
    ("host", "reached_as", "is_local"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("0.0.0.0", "127.0.0.1", False),
        ("::1", "[::1]", True),
        ("::", "[::1]", False),
    ],
)
def test_the_url_is_one_that_leads_there_from_this_machine(
    host: str, reached_as: str, is_local: bool
) -> None:
    try:
        listener = open_listening_socket(host, 0)
    except AddressError:
        if ":" not in host:
            raise
        pytest.skip("this machine has no IPv6")
    with listener:
        assert base_url(listener) == f"http://{reached_as}:{listener.getsockname()[1]}"
        assert is_loopback(listener) is is_local


def test_ports_are_from_0_to_65535() -> None:
    check_port(0)
    check_port(65535)
    for port in (-1, 65536):
        with pytest.raises(BadOptionError, match=f"not {port}"):
            check_port(port)
