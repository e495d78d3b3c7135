"""Containers behind HTTP: all that a pool asks of one."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from synth_pools.container import Container, Rollout, app
from synth_pools.container.ends import Episode
from synth_pools.container.episodes import Episodes
from tests.support.backend_server import eventually


class Gate:
    """Container whose rollouts last until they are released, unless they say otherwise."""

    def __init__(self, **options: Any) -> None:
        self.released = threading.Event()
        self.started: list[str] = []
        self.container = Container("gate", **options)
        self.container.rollout(self.play)

    async def play(self, rollout: Rollout) -> float:
        self.started.append(rollout.id)
        rollout.event({"step": 1})
        rollout.event({"step": 2})
        await asyncio.to_thread(self.released.wait, 60)
        return 0.5


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate(tasks={"short": {"words": 2}}, info={"a": 1}, program={"name": "p"}, concurrency=2)
    yield gate
    gate.released.set()


@pytest.fixture
def http(gate: Gate) -> Iterator[httpx.Client]:
    with gate.container.running() as url, httpx.Client(base_url=url, trust_env=False) as http:
        yield http
        gate.released.set()


def submit(http: httpx.Client, rollout_id: str, **fields: Any) -> httpx.Response:
    body = {"rollout_id": rollout_id, "submission_mode": "async", **fields}
    return http.post("/rollouts", json=body)


def end_of(http: httpx.Client, rollout_id: str) -> Any:
    def look() -> Any:
        answer = http.get(f"/rollouts/{rollout_id}").json()
        return None if answer["status"] in ("queued", "running") else answer

    return eventually(look)


def test_it_says_what_it_is(http: httpx.Client) -> None:
    assert http.get("/health").json()["status"] == "ok"
    info = http.get("/info").json()
    assert info["runtime"]["name"] == "gate"
    assert info["a"] == 1
    assert http.get("/metadata").json() == info
    assert http.get("/taskset").json() == {
        "tasks": [{"task_id": "short", "metadata": {"words": 2}}]
    }
    assert http.get("/task_info?seed=3").json()["task"]["task_id"] == "gate"
    assert http.get("/task_info?task_id=short").json()["task"]["metadata"] == {"words": 2}
    assert http.get("/task_info?task_id=x").status_code == 404
    assert http.get("/program").json() == {"program": {"name": "p"}}
    assert http.get("/nothing").status_code == 404


def test_what_it_does_not_have_is_not_offered() -> None:
    with Gate().container.running() as url, httpx.Client(base_url=url, trust_env=False) as http:
        assert http.get("/taskset").status_code == http.get("/program").status_code == 404
        assert http.get("/rollouts/x").status_code == 404
        assert http.get("/rollouts/x/events").status_code == 404
        assert http.post("/rollouts/x/terminate", json={}).status_code == 404


def test_a_submission_is_under_way_until_it_has_ended(http: httpx.Client, gate: Gate) -> None:
    answer = submit(http, "a")
    assert answer.status_code == 202
    assert answer.json()["rollout_id"] == "a"
    eventually(lambda: http.get("/rollouts/a").json()["status"] == "running")
    gate.released.set()
    result = end_of(http, "a")
    assert result["metrics"]["outcome_reward"] == 0.5
    assert result["success_status"] == "success"
    # Once more, it is the same.
    assert submit(http, "a").json() == result
    body = {"rollout_id": "a", "submission_mode": "sync"}
    assert http.post("/rollout", json=body).json() == result
    assert gate.started == ["a"]


def test_events_have_a_cursor(http: httpx.Client, gate: Gate) -> None:
    submit(http, "a/b c")
    path = "/rollouts/a%2Fb%20c/events"
    eventually(lambda: len(http.get(path).json()["events"]) == 2)
    page = http.get(f"{path}?after=0&after_sequence=0&limit=1").json()
    assert [event["step"] for event in page["events"]] == [1]
    assert page["cursor"] == {"after": 0, "next": 1, "has_more": True, "closed": False}
    gate.released.set()
    end_of(http, "a%2Fb%20c")
    page = http.get(f"{path}?after=1").json()
    assert [event["sequence"] for event in page["events"]] == [2]
    assert page["cursor"]["closed"] is True
    assert http.get(f"{path}?after=9").json()["events"] == []
    assert http.get(f"{path}?after=-1").status_code == 422


def test_terminate_cancels(http: httpx.Client, gate: Gate) -> None:
    submit(http, "a")
    eventually(lambda: gate.started)
    assert http.post("/rollouts/a/terminate", json={}).json()["status"] == "terminated"
    assert http.get("/rollouts/a").json()["status"] == "cancelled"
    assert submit(http, "a").json()["status"] == "cancelled"


async def test_a_rollout_that_is_cancelled_before_its_first_step_is_not_left_behind() -> None:
    async def play(rollout: Rollout) -> None:
        await asyncio.sleep(60)

    container = Container("brief", concurrency=1)
    container.rollout(play)
    episodes = Episodes(container)
    async with episodes.open():
        # The event loop of the functions gets both at once.
        release = threading.Event()
        episodes._functions.loop.call_soon_threadsafe(release.wait, 60)
        episode = episodes.submit({"rollout_id": "a"})
        for _ in range(20):
            await asyncio.sleep(0)
        assert episode.status == "running"
        episode.stop("cancelled")
        await asyncio.sleep(0)
        release.set()
        await episode.ended.wait()
        assert episodes.fault is None


def test_rollouts_beyond_the_limit_wait(http: httpx.Client, gate: Gate) -> None:
    for rollout_id in ("a", "b", "c", "d"):
        submit(http, rollout_id)
    eventually(lambda: len(gate.started) == 2)
    assert http.get("/health").json()["queued"] == 2
    assert http.get("/rollouts/d").json()["status"] == "queued"
    http.post("/rollouts/c/terminate", json={})
    gate.released.set()
    assert end_of(http, "d")["status"] == "completed"
    assert sorted(gate.started) == ["a", "b", "d"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[]", 400),
        (b'{"rollout_id": ""}', 422),
        (b'{"rollout_id": 7}', 422),
        (b'{"env": []}', 422),
        (b'{"submission_mode": "later"}', 422),
        (b'{"task_id": 1}', 422),
    ],
)
def test_a_malformed_submission_is_refused(http: httpx.Client, body: bytes, status: int) -> None:
    answer = http.post("/rollouts", content=body)
    assert answer.status_code == status
    assert answer.json()["detail"]


def test_health_is_answered_beside_functions_that_block() -> None:
    release = threading.Event()
    blocks = threading.Event()
    container = Container("busy", concurrency=2)

    @container.rollout
    async def play(rollout: Rollout) -> float:
        blocks.set()
        release.wait(60)
        return 1.0

    with container.running() as url, httpx.Client(base_url=url, trust_env=False) as http:
        submit(http, "a")
        assert blocks.wait(60)
        assert http.get("/health").json()["running"] == 1
        http.post("/rollouts/a/terminate", json={})
        assert http.get("/rollouts/a").json()["status"] == "cancelled"
        # No other rollout could be played: the pool has to replace it.
        answer = http.get("/health")
        assert (answer.status_code, answer.json()["healthy"]) == (503, False)
        assert "blocks the event loop" in answer.json()["detail"]
        release.set()
        eventually(lambda: http.get("/health").status_code == 200)


def test_functions_that_were_left_behind_have_a_limit() -> None:
    release = threading.Event()
    played = threading.Semaphore(0)
    container = Container("busy", concurrency=2)

    @container.rollout
    def play(rollout: Rollout) -> float:
        played.release()
        release.wait(60)
        return 1.0

    with container.running() as url, httpx.Client(base_url=url, trust_env=False) as http:
        for rollout_id in ("a", "b"):
            assert http.get("/health").status_code == 200
            submit(http, rollout_id)
            # One that had not begun would not be played at all.
            assert played.acquire(timeout=60)
            http.post(f"/rollouts/{rollout_id}/terminate", json={})
        assert http.get("/health").json()["detail"].startswith("2 rollout functions have ignored")
        release.set()
        eventually(lambda: http.get("/health").status_code == 200)


def test_a_key_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVIRONMENT_API_KEY", "k3y")
    with Gate().container.running() as url, httpx.Client(base_url=url, trust_env=False) as http:
        for key in (b"", b"k3z", "ä".encode()):
            assert http.get("/info", headers={b"x-api-key": key}).status_code == 401
        assert http.get("/info", headers={"x-api-key": "k3y"}).status_code == 200


def test_ended_rollouts_are_forgotten() -> None:
    container = Container("brief", keep_seconds=0.2)
    container.rollout(lambda _: 1.0)
    with container.running() as url, httpx.Client(base_url=url, trust_env=False) as http:
        http.post("/rollouts", json={"rollout_id": "a"})
        eventually(lambda: http.get("/rollouts/a").status_code == 404)


LINES = {"accept": "application/json, application/x-ndjson"}


def test_events_come_as_lines_before_the_answer(http: httpx.Client, gate: Gate) -> None:
    with http.stream("POST", "/rollouts", json={"rollout_id": "r"}, headers=LINES) as answer:
        assert answer.headers["content-type"] == "application/x-ndjson"
        lines = answer.iter_lines()
        events: list[Any] = []
        while len(events) < 2:
            if line := next(lines):
                events += json.loads(line)["events"]
        assert [(event["sequence"], event["step"]) for event in events] == [(1, 1), (2, 2)]
        gate.released.set()
        end = json.loads(next(lines))
    assert (end["status"], end["event_count"]) == ("completed", 2)
    assert end == http.get("/rollouts/r").json()


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a busy machine take long for what ends before an answer has to begin."""
    monkeypatch.setattr(app, "_FIRST_LINE_SECONDS", 600)


@pytest.mark.usefixtures("patience")
def test_an_answer_without_events_is_one_of_json(http: httpx.Client) -> None:
    body = {"rollout_id": "r", "task_id": "none of it"}
    answer = http.post("/rollouts", json=body, headers=LINES)
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["status"] == "failed"


def test_a_rollout_that_reports_nothing_yet_begins_its_answer() -> None:
    container, is_begun = Container("silent"), threading.Event()

    @container.rollout
    async def play(_: Rollout) -> float:
        await asyncio.to_thread(is_begun.wait, 60)
        return 1.0

    with (
        container.running() as url,
        httpx.Client(base_url=url, trust_env=False) as http,
        http.stream("POST", "/rollouts", json={}, headers=LINES) as answer,
    ):
        # Before the end, so that nobody has to ask for events.
        pieces = answer.iter_text()
        text = next(pieces)
        is_begun.set()
        text += "".join(pieces)
    assert text.startswith("\n")
    assert json.loads(text)["status"] == "completed"


@pytest.mark.usefixtures("patience")
def test_events_of_a_moment_come_together_with_the_answer() -> None:
    container = Container("quick")

    @container.rollout
    async def play(rollout: Rollout) -> float:
        for number in range(120):
            rollout.event({"number": number})
        return 1.0

    with container.running() as url, httpx.Client(base_url=url, trust_env=False) as http:
        *lines, end = http.post("/rollouts", json={}, headers=LINES).text.split("\n")
    numbers = [event["number"] for line in lines for event in json.loads(line)["events"]]
    assert numbers == list(range(120))
    assert json.loads(end)["event_count"] == 120


@pytest.mark.usefixtures("patience")
def test_a_short_rollout_has_its_events_and_its_end_in_one_piece(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(app, "_LINE_SECONDS", 600)
    container = Container("short")

    @container.rollout
    async def play(rollout: Rollout) -> float:
        rollout.event({"number": 1})
        await asyncio.sleep(0.1)
        rollout.event({"number": 2})
        return 1.0

    with container.running() as url, httpx.Client(base_url=url, trust_env=False) as http:
        answer = http.post("/rollouts", json={}, headers=LINES)
    page, end = map(json.loads, answer.text.split("\n"))
    assert "content-length" in answer.headers
    assert ([event["number"] for event in page["events"]], end["status"]) == ([1, 2], "completed")


def test_events_soon_after_a_line_share_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    container, is_read = Container("busy"), threading.Event()

    @container.rollout
    async def play(rollout: Rollout) -> float:
        rollout.event({"number": 1})
        await asyncio.to_thread(is_read.wait, 60)
        for number in (2, 3):
            rollout.event({"number": number})
            await asyncio.sleep(0.1)
        return 1.0

    events = Episode.events

    def read(episode: Episode, after: int, limit: int) -> tuple[list[str], bool]:
        page = events(episode, after, limit)
        if page[0]:
            # From the first line on, whose successor comes no sooner than this.
            monkeypatch.setattr(app, "_LINE_SECONDS", 600)
        return page

    monkeypatch.setattr(Episode, "events", read)
    with (
        container.running() as url,
        httpx.Client(base_url=url, trust_env=False, timeout=60) as http,
        http.stream("POST", "/rollouts", json={}, headers=LINES) as answer,
    ):
        lines = (json.loads(line) for line in answer.iter_lines() if line)
        first = next(lines)
        is_read.set()
        pages = [first, *lines]
    numbers = [[event["number"] for event in page["events"]] for page in pages[:-1]]
    assert (numbers, pages[-1]["status"]) == ([[1], [2, 3]], "completed")


def test_a_large_answer_is_asked_for_after_its_events() -> None:
    container = Container("large")

    @container.rollout
    async def play(rollout: Rollout) -> float:
        rollout.event({"step": 1})
        rollout.artifact("large.txt", "x" * 300_000)
        return 1.0

    with container.running() as url, httpx.Client(base_url=url, trust_env=False) as http:
        body = {"rollout_id": "r"}
        line, end = http.post("/rollouts", json=body, headers=LINES).text.split("\n")
        assert json.loads(line)["events"][0]["step"] == 1
        assert json.loads(end) == {"rollout_id": "r", "status": "running"}
        answer = http.get("/rollouts/r").json()
        assert (answer["status"], answer["event_count"]) == ("completed", 1)
        assert http.post("/rollouts", json={"rollout_id": "r"}).json() == answer
