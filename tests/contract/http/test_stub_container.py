"""Stub containers: their behaviours and the requests that they remember."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from synth_pools.contract.http.stub_container import (
    ARTIFACT,
    BEHAVIOURS,
    HEALTH,
    INFO,
    METADATA,
    PROGRAM,
    TASK_INFO,
    TASKSET,
    ReceivedRequest,
    ReceivedRequests,
    StubContainers,
)


def _client(url: str) -> httpx.Client:
    # Certificates are not read, to start quickly.
    return httpx.Client(base_url=url, timeout=60, verify=False)


@pytest.fixture
def containers() -> Iterator[StubContainers]:
    with StubContainers() as running:
        yield running


class _Asking:
    """One rollout of a container, over one connection."""

    def __init__(self, http: httpx.Client, env: Any, name: str = "r") -> None:
        self._http = http
        self._body = {"rollout_id": name, "env": env}

    def post(self, path: str = "/rollouts", **headers: str) -> httpx.Response:
        return self._http.post(path, json=self._body, headers=headers)

    def end(self) -> httpx.Response:
        return self._http.post(f"/rollouts/{self._body['rollout_id']}/terminate", content=b"{}")

    def get(self, more: str = "", **headers: str) -> httpx.Response:
        return self._http.get(f"/rollouts/{self._body['rollout_id']}{more}", headers=headers)


@contextlib.contextmanager
def _asking(containers: StubContainers, env: Any, name: str = "r") -> Iterator[_Asking]:
    with _client(containers.urls["good"]) as http:
        yield _Asking(http, env, name)


def test_each_behaviour_answers_in_its_own_way() -> None:
    with StubContainers() as containers, _client("") as http:
        assert set(containers.urls) == {*BEHAVIOURS, "nobody"}
        answers = {name: http.get(f"{containers.urls[name]}/info") for name in BEHAVIOURS}
        with pytest.raises(httpx.ConnectError):
            http.get(containers.urls["nobody"])
    assert answers["good"].json() == answers["twin"].json() == INFO
    assert answers["bare"].status_code == 404
    assert answers["broken"].headers["content-type"] == "text/html"


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({}, {"status": "completed", "metrics": {"outcome_reward": 1.0}, "artifact": [ARTIFACT]}),
        ({"reward": 0.5}, {"summary": {"reward": 0.5}}),
        ({"fail": True}, {"status": "failed", "success_status": "runtime_error", "artifact": []}),
        ({"answer": {"status": "odd"}}, {"status": "odd"}),
    ],
)
def test_a_rollout_obeys_its_env(env: dict[str, Any], expected: dict[str, Any]) -> None:
    body = {"rollout_id": "rollout_1", "env": env}
    with StubContainers() as containers:
        answer = httpx.post(f"{containers.urls['good']}/rollouts", json=body)
        (received,) = containers.received.of_rollout("rollout_1")
    assert expected.items() <= answer.json().items()
    assert (received.behaviour, received.path, received.body) == ("good", "/rollouts", body)


def test_termination_ends_a_slow_rollout() -> None:
    body = {"rollout_id": "slow/1", "env": {"delay": 600}}
    with StubContainers() as containers:
        url = containers.urls["good"]
        answers: list[int] = []

        def run() -> None:
            answers.append(httpx.post(f"{url}/rollouts", json=body, timeout=60).status_code)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        assert not containers.received.was_terminated("slow/1")
        httpx.post(f"{url}/rollouts/slow%2F1/terminate")
        assert containers.received.was_terminated("slow/1")
        thread.join(30)
    assert answers == [200]


def test_a_held_rollout_answers_once_it_is_released() -> None:
    body = {"rollout_id": "held", "env": {"hold": True}}
    with StubContainers() as containers:
        answers: list[int] = []

        def run() -> None:
            url = f"{containers.urls['good']}/rollouts"
            answers.append(httpx.post(url, json=body, timeout=60).status_code)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        while not containers.received.of_rollout("held"):
            thread.join(0.01)
        assert answers == []
        containers.received.release("held")
        thread.join(30)
    assert answers == [200]


def test_what_a_container_says_of_itself(containers: StubContainers) -> None:
    expected = {
        "/health": HEALTH,
        "/info": INFO,
        "/metadata": METADATA,
        "/task_info": TASK_INFO,
        "/program": PROGRAM,
        "/taskset": TASKSET,
    }
    with _client(containers.urls["first"]) as http:
        assert {path: http.get(path).json() for path in expected} == expected
        unknown = http.get("/unknown")
        assert (unknown.status_code, unknown.json()) == (404, {"detail": "unknown"})
        assert unknown.headers["content-type"] == "application/json"
    with _client(containers.urls["bare"]) as http:
        assert http.get("/health").status_code == 404
        assert http.post("/rollouts", json={}).status_code == 404
        done = http.post("/rollout", json={"rollout_id": "r"})
        assert done.json()["status"] == "completed"
    with _client(containers.urls["broken"]) as http:
        assert http.get("/health").status_code == 500
        assert http.get("/info").content == b"<html>hello</html>"
        assert http.get("/metadata").json() == [1, 2, 3]
    with _client(containers.urls["good"]) as http:
        assert http.post("/elsewhere", json={}).status_code == 404
        # A body that is not an object gives no orders.
        done = http.post("/rollouts", json={"rollout_id": "odd", "env": 5})
        assert done.json()["status"] == "completed"


def test_requests_are_remembered(containers: StubContainers) -> None:
    with _client(containers.urls["twin"]) as http:
        http.get("/health", headers={"x-synth-pools-call": "health-check"})
        http.get("/info")
        http.post("/rollouts", content=b"{")
        http.post("/rollouts", json={"rollout_id": "a"}, headers={"x-api-key": "secret-key"})
        http.post("/rollouts", json={"rollout_id": "b"})
    received = containers.received
    assert received.received == [
        ReceivedRequest("twin", "/health", None, "health-check"),
        ReceivedRequest("twin", "/info", None),
        ReceivedRequest("twin", "/rollouts", None),
        ReceivedRequest("twin", "/rollouts", {"rollout_id": "a"}),
        ReceivedRequest("twin", "/rollouts", {"rollout_id": "b"}),
    ]
    assert received.of_rollout("b") == received.received[-1:]
    assert received.keys == {"a": "secret-key"}
    assert "secret-key" not in repr(received)


def test_bytes_are_counted_by_rollout(containers: StubContainers) -> None:
    received = containers.received
    with _asking(containers, {"answer": {"a": 1}}) as rollout:
        first = rollout.post()
        sent, answered = len(first.request.content), len(first.content)
        assert received.bytes_of("r") == (sent, answered, sent, answered)
        got = len(rollout.get().content)
        final = rollout.end()
        rollout.post()
    every = 2 * answered + got + len(final.content)
    assert received.bytes_of("r") == (2 * sent, 2 * answered, 2 * sent + 2, every)
    assert received.bytes_of("another") == (0, 0, 0, 0)
    # Requests about no rollout are not counted.
    httpx.get(f"{containers.urls['good']}/info")
    assert received.sizes.keys() == {"r"}


@pytest.mark.parametrize(
    ("env", "status", "body"),
    [
        ({"answer": "http_error"}, 500, b'{"detail": "went wrong"}'),
        ({"answer": "refused"}, 409, b'{"detail": "not this one"}'),
        ({"answer": "html"}, 200, b"<html>hello</html>"),
        ({"answer": "array"}, 200, b"[1, 2, 3]"),
    ],
)
def test_wrong_answers(
    env: dict[str, Any], status: int, body: bytes, containers: StubContainers
) -> None:
    with _asking(containers, env) as rollout:
        answer = rollout.post()
    assert (answer.status_code, answer.content) == (status, body)
    kind = "text/html" if body.startswith(b"<") else "application/json"
    assert answer.headers["content-type"] == kind


def test_an_answer_is_cut_short(containers: StubContainers) -> None:
    with _asking(containers, {"answer": "cut"}) as rollout:
        with pytest.raises(httpx.RemoteProtocolError, match=r"received 11 bytes, expected 1000"):
            rollout.post()
        # The next request opens its own connection.
        with pytest.raises(httpx.RemoteProtocolError, match="received 11 bytes"):
            rollout.post()


def test_it_fails_so_often_before_it_succeeds(containers: StubContainers) -> None:
    with _asking(containers, {"flaky": 2}) as rollout:
        assert [rollout.post().status_code for _ in range(4)] == [500, 500, 200, 200]
    with _asking(containers, {"flaky": "2"}, "other") as rollout:
        assert rollout.post().status_code == 200


def test_an_outcome_reports_usage_and_the_request(containers: StubContainers) -> None:
    with _asking(containers, {"usage": {"tokens": 5}, "reward": 0.25}) as rollout:
        outcome = rollout.post("/rollout").json()
    assert outcome == {
        "rollout_id": "r",
        "status": "completed",
        "success_status": "success",
        "summary": {"reward": 0.25},
        "metrics": {"outcome_reward": 0.25},
        "artifact": [ARTIFACT],
        "echo": {"rollout_id": "r", "env": {"usage": {"tokens": 5}, "reward": 0.25}},
        "usage": {"tokens": 5},
    }


def test_the_key_of_a_container_is_echoed_where_that_is_asked_for(
    containers: StubContainers,
) -> None:
    with _asking(containers, {"echo_key": True}) as rollout:
        outcome = rollout.post(**{"x-api-key": "its-key"}).json()
    assert (outcome["key"], outcome["status_detail"]) == ("its-key", "ran with its-key")
    assert outcome["artifact"] == [{**ARTIFACT, "content": "the key its-key of a container"}]
    with _asking(containers, {"echo_key": 1}) as rollout:
        assert "key" not in rollout.post().json()


def test_a_rollout_that_has_to_be_asked_for(containers: StubContainers) -> None:
    running = {"rollout_id": "a b", "status": "running"}
    with _asking(containers, {"answer": "later"}, "a b") as rollout:
        # Only a POST can ask for something.
        assert rollout.get().status_code == 404
        accepted = rollout.post()
        assert (accepted.status_code, accepted.json()) == (202, running)
        first = rollout.get()
        assert (first.status_code, first.json()) == (200, running)
        assert [rollout.get().json()["status"] for _ in range(2)] == ["completed"] * 2
    with _asking(containers, {"answer": "pending"}, "c") as rollout:
        accepted = rollout.post()
        assert (accepted.status_code, accepted.json()["status"]) == (200, "running")
        assert [rollout.get().json()["status"] for _ in range(2)] == ["running", "completed"]
    with _asking(containers, {"answer": "asked"}, "b") as rollout:
        assert rollout.post().status_code == 202
        assert [rollout.get().json()["status"] for _ in range(3)] == ["running"] * 3
        containers.received.release("b")
        assert rollout.get().json()["status"] == "completed"


def test_a_rollout_is_forgotten_so_often(containers: StubContainers) -> None:
    with _asking(containers, {"forget": 2}) as rollout:
        for _ in range(2):
            assert rollout.post().status_code == 202
            assert rollout.get().json()["status"] == "running"
            forgotten = rollout.get()
            assert (forgotten.status_code, forgotten.json()) == (404, {"detail": "unknown"})
        done = rollout.post()
        assert (done.status_code, done.json()["status"]) == (200, "completed")


def test_events_are_told_from_where_they_are_asked_for(containers: StubContainers) -> None:
    tell = [{"sequence": 1}, {"sequence": 2, "repeat": 3}, {"sequence": 3}]
    with _asking(containers, {"tell": tell}) as rollout:
        assert rollout.get("/events").status_code == 404
        rollout.post()
        complete = rollout.get("/events")
        assert complete.status_code == 200
        second = {"sequence": 2, "repeat": 3, "text": "xxx"}
        assert complete.json() == {
            "events": [tell[0], second, tell[2]],
            "cursor": {"after": 0, "has_more": False},
        }
        for query in ("after_sequence=1", "after=1", "after_sequence=1&after=2"):
            later = rollout.get(f"/events?{query}").json()
            assert later == {"events": [second, tell[2]], "cursor": {"after": 1, "has_more": False}}
    with _asking(containers, {"tell": tell[:1], "echo_key": True}, "keyed") as rollout:
        rollout.post()
        events = rollout.get("/events", **{"x-api-key": "its-key"}).json()["events"]
        assert events == [{"sequence": 1, "key": "its-key"}]
    with _asking(containers, {"tell": "nothing"}, "silent") as rollout:
        rollout.post()
        assert rollout.get("/events").status_code == 404
    with _asking(containers, None, "bare") as rollout:
        rollout.post()
        assert rollout.get("/events").status_code == 404


def test_a_slow_rollout_answers_by_itself_and_all_end_with_their_containers() -> None:
    answers: list[int] = []

    def run(url: str, name: str, env: dict[str, Any]) -> None:
        body = {"rollout_id": name, "env": env}
        answers.append(http.post(f"{url}/rollouts", json=body).status_code)

    http = _client("")
    with StubContainers() as containers:
        url = containers.urls["good"]
        run(url, "short", {"delay": 0.1})
        assert answers == [200]
        threads = [
            threading.Thread(target=run, args=(url, *rollout))
            for rollout in (("held", {"hold": True}), ("slow", {"delay": 600}))
        ]
        for thread in threads:
            thread.start()
        while len(containers.received.received) < 3:
            threads[0].join(0.01)
        threads[0].join(0.2)
        assert all(thread.is_alive() for thread in threads)
        assert not containers.received.is_over("held")
    for thread in threads:
        thread.join(30)
    http.close()
    assert containers.received.is_over("held")
    assert answers == [200, 200, 200]


def test_nobody_hears_of_a_backend_that_hangs_up(
    containers: StubContainers, capfd: pytest.CaptureFixture[str]
) -> None:
    address = ("127.0.0.1", int(containers.urls["good"].rsplit(":", 1)[1]))
    with socket.create_connection(address) as hasty:
        head = b"POST /rollouts HTTP/1.1\r\ncontent-length: no number\r\n\r\n"
        hasty.sendall(head)
        assert hasty.recv(1) == b""
    assert capfd.readouterr() == ("", "")


def test_lateness_is_remembered_for_a_while() -> None:
    received = ReceivedRequests()
    received.note_turn(2.0)
    assert received.lateness == 2.0
    received.note_turn(0.0)
    assert 1.9 < received.lateness < 2.0
    received.note_turn(3.0)
    assert received.lateness == 3.0
