"""The address that is connected to is the one that was checked, whatever a name means by then."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from synth_pools.backend.containers.url_policy import literal_address, plain, refusal
from synth_pools.local import LocalBackend
from tests.support.backend_server import Server, eventually
from tests.support.containers import http, odd_container

NAME = "containers.test"


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Addresses of names, changeable at any time; every other name is looked up as ever."""
    meanings: dict[str, list[str]] = {}
    genuine: Callable[..., list[Any]] = socket.getaddrinfo

    def look_up(host: Any, port: Any, *args: Any, **kwargs: Any) -> list[Any]:
        if host not in meanings:
            return genuine(host, port, *args, **kwargs)
        actual = []
        for address in meanings[host]:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            actual.append((family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port)))
        return actual

    monkeypatch.setattr("synth_pools.backend.containers.resolver.socket.getaddrinfo", look_up)
    return meanings


def refused(server: Server, pool_id: str, words: str) -> None:
    """Check that a direct call gets 403, and that a rollout fails."""
    path = f"/v1/pools/{pool_id}/container/health"
    body = server.refused("GET", path, 403, "forbidden_container_url")
    assert words in body["detail"]
    error = server.run(pool_id)["error"]
    assert error["code"] == "container_unreachable"
    assert error["details"]["cause"] == "forbidden_container_url"


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("169.254.169.254", "link-local"),
        ("169.254.0.1", "link-local"),
        ("fe80::1", "link-local"),
        ("::ffff:169.254.169.254", "link-local"),
        ("fd00:ec2::254", "link-local"),
        ("100.100.100.200", "link-local"),
        ("168.63.129.16", "link-local"),
        ("0.0.0.0", "no address of one machine"),
        ("::", "no address of one machine"),
        ("224.0.0.1", "no address of one machine"),
        ("255.255.255.255", "no address of one machine"),
    ],
)
def test_an_allowed_name_that_means_a_bad_address(
    start: Callable[..., Server], names: dict[str, list[str]], address: str, words: str
) -> None:
    backend = start(container_hosts=(NAME,))
    names[NAME] = [address]
    refused(backend, backend.pool(container_url=f"http://{NAME}:81"), words)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.9", "::1", "::ffff:127.0.0.1"])
def test_an_allowed_name_that_means_the_backend(
    start: Callable[..., Server], names: dict[str, list[str]], address: str
) -> None:
    backend = start(container_hosts=(NAME,))
    names[NAME] = [address]
    refused(
        backend,
        backend.pool(container_url=f"http://{NAME}:{backend.port}"),
        "the backend's own address",
    )


@pytest.mark.parametrize("spelling", ["127.1", "2130706433", "0x7f000001"])
def test_a_spelling_that_only_resolvers_know(start: Callable[..., Server], spelling: str) -> None:
    backend = start(container_hosts=(spelling,))
    refused(
        backend,
        backend.pool(container_url=f"http://{spelling}:{backend.port}"),
        "the backend's own",
    )


def test_a_name_is_looked_up_once_and_that_address_called(
    start: Callable[..., Server], names: dict[str, list[str]]
) -> None:
    backend = start(container_hosts=(NAME,))
    names[NAME] = ["169.254.169.254", "127.0.0.1"]
    with odd_container(lambda _: http(200, {"status": "ok"})) as container:
        port = container.url.rpartition(":")[2]
        pool_id = backend.pool(container_url=f"http://{NAME}:{port}")
        backend.get(f"/v1/pools/{pool_id}/container/health")
        # The good one of the two, under the name that the container knows itself by.
        assert container.requests[0].headers["host"] == f"{NAME}:{port}"
        names[NAME] = ["169.254.169.254"]
        refused(backend, pool_id, "link-local")
        assert len(container.requests) == 1


def test_every_container_of_a_pool_is_looked_up_and_checked_for_every_call(
    start: Callable[..., Server], names: dict[str, list[str]]
) -> None:
    backend = start(container_hosts=(NAME, "other.test"), health_interval_seconds=0.05)
    names[NAME], names["other.test"] = ["127.0.0.1"], ["127.0.0.1"]

    def health() -> list[str]:
        actual = backend.get(f"/v1/pools/{pool_id}/metrics")["containers"]
        return [container["health"] for container in actual]

    with odd_container(lambda _: http(200, {"status": "completed"})) as container:
        port = container.url.rpartition(":")[2]
        urls = [f"http://{NAME}:{port}", f"http://other.test:{port}"]
        pool_id = backend.pool(container_urls=urls)
        for _ in range(2):
            assert backend.run(pool_id)["status"] == "completed"
        assert {request.headers["host"] for request in container.requests} == {
            f"{NAME}:{port}",
            f"other.test:{port}",
        }
        # Now the name resolves to a forbidden address, which not even a check calls.
        names[NAME] = ["169.254.169.254"]
        eventually(lambda: health() == ["unhealthy", "healthy"])
        before = len(container.checks)
        for _ in range(4):
            assert backend.run(pool_id)["status"] == "completed"
        eventually(lambda: len(container.checks) > before + 3)
        hosts = {request.headers["host"] for request in container.checks[before + 1 :]}
        assert hosts == {f"other.test:{port}"}
        # A pool of forbidden addresses alone fails its rollouts.
        backend.call("PATCH", f"/v1/pools/{pool_id}", json={"container_urls": urls[:1]})
        refused(backend, pool_id, "link-local")


def test_the_names_of_this_machine_need_no_resolver(
    server: Server, names: dict[str, list[str]]
) -> None:
    names["localhost"] = names["pool.localhost"] = ["169.254.169.254"]
    with odd_container(lambda _: http(200, {"status": "ok"})) as container:
        port = container.url.rpartition(":")[2]
        for name in ("localhost", "pool.localhost", "LOCALHOST", "localhost."):
            pool_id = server.pool(container_url=f"http://{name}:{port}")
            server.get(f"/v1/pools/{pool_id}/container/health")


def test_a_backend_for_others_calls_this_machine_only_where_it_is_named(
    start: Callable[..., Server], names: dict[str, list[str]]
) -> None:
    backend = start(local_containers=False, container_hosts=(NAME,))
    names[NAME] = ["127.0.0.1"]
    with odd_container(lambda _: http(200, {"status": "ok"})) as container:
        body = {"name": "n", "container_url": container.url}
        backend.refused("POST", "/v1/pools", 403, "forbidden_container_url", json=body)
        port = container.url.rpartition(":")[2]
        pool_id = backend.pool(container_url=f"http://{NAME}:{port}")
        refused(backend, pool_id, "an address of this machine")
        assert container.requests == []
        by_name = start(local_containers=False, container_hosts=("localhost", "127.0.0.1"))
        for url in (container.url, f"http://localhost:{port}"):
            pool_id = by_name.pool(container_url=url)
            by_name.get(f"/v1/pools/{pool_id}/container/health")


def test_who_can_reach_the_backend_decides_that() -> None:
    with (
        LocalBackend(host="0.0.0.0", api_key="sk_chosen_here") as public,
        LocalBackend(host="localhost", api_key="sk_chosen_here") as private,
    ):
        for backend, status in ((public, 403), (private, 201)):
            answer = httpx.post(
                f"{backend.url}/v1/pools",
                json={"name": "n", "container_url": "http://127.0.0.1:9"},
                headers={"authorization": "Bearer sk_chosen_here"},
            )
            assert answer.status_code == status


def test_a_name_that_means_nothing(start: Callable[..., Server]) -> None:
    backend = start(container_hosts=("nowhere.invalid",))
    pool_id = backend.pool(container_url="http://nowhere.invalid:81")
    backend.refused("GET", f"/v1/pools/{pool_id}/container/health", 502, "container_unreachable")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(server: Server, status: int) -> None:
    with odd_container(lambda _: http(200, {"status": "ok"})) as inner:
        moved = http(status, b"", location=f"{inner.url}/health")
        with odd_container(lambda _: moved) as outer:
            pool_id = server.pool(container_url=outer.url)
            path = f"/v1/pools/{pool_id}/container/health"
            body = server.refused("GET", path, 502, "container_error")
            assert body["error"]["details"]["status"] == status
            assert server.run(pool_id)["error"]["code"] == "container_http_error"
        assert inner.requests == []


def test_an_answer_is_never_a_page(server: Server) -> None:
    page = http(200, b'{"a":"<script>alert(1)</script>"}', content_type="text/html")
    with odd_container(lambda _: page) as container:
        pool_id = server.pool(container_url=container.url)
        answer = server.http.get(f"/v1/pools/{pool_id}/container/info")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_what_is_of_this_machine_is_found_out_without_a_list() -> None:
    for text, port, is_bad in (
        ("127.0.0.1", 80, True),
        ("127.99.0.1", 80, True),
        ("::1", 80, True),
        ("127.0.0.1", 81, False),
        ("192.0.2.1", 80, False),
        ("2001:db8::1", 80, False),
    ):
        address = literal_address(text)
        assert address is not None
        assert bool(refusal(plain(address), port, 80)) is is_bad
    assert literal_address("fe80::1%eth0") is None
