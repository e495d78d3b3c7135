"""Log-in to the page, and what a session is good for: both of its halves, from the page alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import httpx
import pytest

from synth_pools.local import LocalBackend
from synth_pools.ui.sessions import (
    LINK_SECONDS,
    SESSION_SECONDS,
    TOKEN_HEADER,
    LoginLinks,
    OneKey,
    Sessions,
)
from tests.support.backend_server import KEY, Server, eventually

HOST = {"host": "127.0.0.1:8080"}


class Clock:
    def __init__(self) -> None:
        self.seconds = 1_000_000.0
        self._tokens = count()

    def now(self) -> float:
        return self.seconds

    def token(self, _size: int) -> str:
        return f"token{next(self._tokens)}"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sessions(clock: Clock) -> Sessions:
    return Sessions(OneKey("sk"), clock.now, clock.token)


def opened(sessions: Sessions, headers: dict[str, str] = HOST) -> dict[str, str]:
    """The headers of a request of the page, in a new session."""
    cookie, token = sessions.open("", headers, is_secure=False)
    return {**headers, "cookie": f"a=b; {cookie.partition(';')[0]}", TOKEN_HEADER: token}


def test_a_session_ends(sessions: Sessions, clock: Clock) -> None:
    headers = opened(sessions)
    clock.seconds += SESSION_SECONDS - 1
    assert sessions.admits(headers)
    clock.seconds += 1
    assert not sessions.admits(headers)


def test_a_session_outlives_the_process_and_not_its_key(sessions: Sessions, clock: Clock) -> None:
    headers = opened(sessions)
    assert Sessions(OneKey("sk"), clock.now, clock.token).admits(headers)
    assert not Sessions(OneKey("other"), clock.now, clock.token).admits(headers)


@pytest.mark.parametrize(
    "changed",
    [
        {"cookie": ""},
        {TOKEN_HEADER: ""},
        {TOKEN_HEADER: "0" * 64},
        {TOKEN_HEADER: "ä"},
        {"host": "127.0.0.1:9090"},
        {"origin": "http://127.0.0.1:9090"},
        {"origin": "null"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "none"},
        {"cookie": "synth_pools_8080=:::"},
        {"cookie": "synth_pools_8080=9999999999:x::" + "0" * 64},
        {"cookie": f"synth_pools_8080={'9' * 10_000}:x::{'0' * 64}"},
        {"cookie": "synth_pools_8080=ä"},
    ],
)
def test_nothing_of_a_session_can_be_left_out_or_made_up(
    sessions: Sessions, changed: dict[str, str]
) -> None:
    headers = opened(sessions)
    same = {"origin": "http://127.0.0.1:8080", "sec-fetch-site": "same-origin"}
    assert sessions.admits({**headers, **same})
    assert not sessions.admits({**headers, **changed})


def test_the_halves_of_two_sessions_do_not_fit(sessions: Sessions) -> None:
    first, second = opened(sessions), opened(sessions)
    assert not sessions.admits({**first, TOKEN_HEADER: second[TOKEN_HEADER]})
    # The cookie's own signature is no token: a server on another port is sent the cookie.
    assert not sessions.admits({**first, TOKEN_HEADER: first["cookie"].rpartition(":")[2]})


def test_a_link_is_good_once_and_for_an_hour(clock: Clock) -> None:
    links = LoginLinks(clock.now, clock.token)
    first, second = links.issue(), links.issue()
    assert links.redeem(first)
    assert not links.redeem(first)
    assert not links.redeem("made up")
    clock.seconds += LINK_SECONDS
    assert not links.redeem(second)


def test_links_that_nobody_opens_are_forgotten(clock: Clock) -> None:
    links = LoginLinks(clock.now, clock.token)
    first, *others = [links.issue() for _ in range(101)]
    assert not links.redeem(first)
    assert all(links.redeem(token) for token in others)


# The following tests use a real backend.


@pytest.fixture
def stranger(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=60, trust_env=False) as client:
        yield client


def log_in(client: httpx.Client, **proof: str) -> httpx.Response:
    return client.post("/ui/session", json=proof)


def test_a_key_logs_in_and_out(stranger: httpx.Client) -> None:
    answer = log_in(stranger, key=f" {KEY}\n")
    assert answer.status_code == 200
    cookie = answer.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
    assert KEY not in cookie + answer.text
    assert answer.headers["cache-control"] == "no-store"
    token = {TOKEN_HEADER: answer.json()["token"]}
    assert stranger.get("/v1/pools", headers=token).status_code == 200
    assert stranger.get("/metrics", headers=token).status_code == 200
    assert stranger.post("/v1/pools", headers=token, json={"name": "made"}).status_code == 201
    # The cookie alone is what another page would send.
    assert stranger.get("/v1/pools").status_code == 401
    # A session does not make a wrong key valid.
    wrong = {**token, "authorization": "Bearer wrong"}
    assert stranger.get("/v1/pools", headers=wrong).status_code == 401
    removed = stranger.delete("/ui/session", headers=token)
    assert removed.status_code == 200
    assert "Max-Age=0" in removed.headers["set-cookie"]
    assert stranger.get("/v1/pools", headers=token).status_code == 401


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b'{"key": "wrong"}', {}, 401),
        (b'{"key": "\\ud800"}', {}, 401),
        (b'{"key": 7}', {}, 401),
        (b'{"link": "wrong"}', {}, 401),
        (b"{}", {}, 401),
        (b"[]", {}, 401),
        (b"no JSON", {}, 401),
        (b"[" * 10_000, {}, 401),
        (b'"%s"' % (b"x" * 20_000), {}, 413),
        (f'{{"key": "{KEY}"}}'.encode(), {"content-type": "text/plain"}, 415),
        (f'{{"key": "{KEY}"}}'.encode(), {"origin": "http://127.0.0.1:1"}, 403),
        (f'{{"key": "{KEY}"}}'.encode(), {"sec-fetch-site": "cross-site"}, 403),
        (f'{{"key": "{KEY}"}}'.encode(), {"host": "evil.example"}, 403),
    ],
)
def test_nobody_else_logs_in(
    stranger: httpx.Client, content: bytes, headers: dict[str, str], status: int
) -> None:
    headers = {"content-type": "application/json", **headers}
    answer = stranger.post("/ui/session", content=content, headers=headers)
    assert answer.status_code == status
    assert "set-cookie" not in answer.headers
    assert answer.json()["error"]["message"]


def test_a_foreign_page_logs_nobody_out(stranger: httpx.Client) -> None:
    answer = stranger.delete("/ui/session", headers={"sec-fetch-site": "same-site"})
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_the_link_of_a_backend_logs_in_once(backend: LocalBackend) -> None:
    link = backend.page_url()
    assert link.startswith(f"{backend.url}/ui/#login=")
    assert backend.api_key not in link
    with httpx.Client(base_url=backend.url) as client:
        assert log_in(client, link=link.partition("=")[2]).status_code == 200
        assert log_in(client, link=link.partition("=")[2]).status_code == 401


def test_a_session_ends_with_its_key_in_the_file(tmp_path: Path) -> None:
    def write(text: str) -> None:
        draft = tmp_path / "draft"
        draft.write_text(text)
        draft.chmod(0o600)
        draft.rename(tmp_path / "keys")

    write("ann: sk_key_of_ann\nbob: sk_key_of_bob\n")
    with LocalBackend(tmp_path / "data", api_keys_file=tmp_path / "keys") as backend:
        clients = {}
        for name in ("ann", "bob"):
            clients[name] = httpx.Client(base_url=backend.url)
            answer = log_in(clients[name], key=f"sk_key_of_{name}")
            assert answer.json()["name"] == name
            clients[name].headers[TOKEN_HEADER] = answer.json()["token"]

        def status(name: str) -> int:
            return clients[name].get("/v1/pools").status_code

        assert (status("ann"), status("bob")) == (200, 200)
        write("bob: sk_key_of_bob\n")
        eventually(lambda: status("ann") == 401)
        assert status("bob") == 200
        for client in clients.values():
            client.close()


def test_a_session_goes_on_after_a_restart(start: Callable[..., Server], tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    folder.mkdir()
    first = start(folder)
    second = start()
    with httpx.Client(base_url=first.url) as client:
        token = log_in(client, key=KEY).json()["token"]
        cookie = next(iter(client.cookies.jar))
    # Another process with the same key; its port is part of the cookie's name.
    name = f"synth_pools_{second.port}"
    headers = {TOKEN_HEADER: token, "cookie": f"{name}={cookie.value}"}
    assert httpx.get(f"{second.url}/v1/pools", headers=headers).status_code == 200
