"""Events that containers tell of their rollouts, in the rollouts' own."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from synth_pools.backend.resources.workers import WorkerDiedError
from synth_pools.backend.rollouts import container_events, runner
from tests.support.backend_server import Server, eventually
from tests.support.containers import OddContainer, Seen, http, odd_container, telling_container

TELEMETRY = {"submission_mode": "async", "telemetry": {"enabled": True, "transport": "poll"}}


class Reporting:
    """Container of one rollout at a time, whose events are `events` until `ends` is set."""

    def __init__(self) -> None:
        self.container: OddContainer
        self.events: list[Any] = []
        self.ends = threading.Event()
        self.queries: list[dict[str, str]] = []
        self.page: Callable[[list[Any]], Any] = lambda actual: {
            "events": actual[:100],
            "cursor": {"has_more": len(actual) > 100},
        }
        self.answer: bytes | None = None
        # Its answer to a submission, if it runs rollouts at once.
        self.result: Any = None

    def __call__(self, request: Seen) -> bytes | None:
        parts = urlsplit(request.path)
        if parts.path == "/health":
            return http(200, {"status": "ok"})
        if request.method == "POST" and self.result is not None:
            return http(200, self.result)
        if request.method == "POST":
            return http(202, {"status": "running"})
        if parts.path.endswith("/events"):
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            self.queries.append(query)
            if self.answer is not None:
                return self.answer
            after = int(query["after"])
            actual = [event for event in self.events if not _is_before(event, after)]
            return http(200, self.page(actual))
        if self.ends.is_set():
            return http(200, {"status": "completed", "reward": 1})
        return http(200, {"status": "running"})


@pytest.fixture
def reporting() -> Iterator[Reporting]:
    answers = Reporting()
    with odd_container(answers, events=answers) as container:
        answers.container = container
        yield answers


def _is_before(event: Any, after: int) -> bool:
    sequence = event.get("sequence") if isinstance(event, dict) else None
    return isinstance(sequence, int) and sequence <= after


def agent_data(server: Server, rollout_id: str) -> list[Any]:
    page = server.get(f"/v1/rollouts/{rollout_id}/events?format=json&limit=1000")
    return [event["data"] for event in page["events"] if event["event"] == "agent"]


def step(number: int, **more: Any) -> dict[str, Any]:
    return {"sequence": number, "kind": "step", **more}


def test_a_container_of_the_package_is_watched_live(server: Server) -> None:
    with telling_container() as (url, ends):
        pool_id = server.pool(container_url=url, config=TELEMETRY)
        rollout_id = server.rollout(pool_id, seed=1)["id"]
        eventually(lambda: len(agent_data(server, rollout_id)) >= 2)
        assert server.state(rollout_id) == "running"
        ends.set()
        final = server.until(rollout_id)
    assert (final["status"], final["score"]) == ("completed", 1.0)
    data = agent_data(server, rollout_id)
    assert [event["sequence"] for event in data] == list(range(1, len(data) + 1))
    assert {event["kind"] for event in data} == {"snapshot", "eval.run.terminal"}
    assert data[-1]["kind"] == "eval.run.terminal"
    assert server.types(rollout_id)[-1] == "rollout.completed"


def test_each_event_comes_once_and_in_order(server: Server, reporting: Reporting) -> None:
    pool_id = server.pool(container_url=reporting.container.url, config=TELEMETRY)
    reporting.events = [step(number) for number in range(1, 251)]
    rollout_id = server.rollout(pool_id)["id"]
    eventually(lambda: len(agent_data(server, rollout_id)) == 250)
    # The last ones are told only when it has ended.
    reporting.events += [step(251), "no object", {"kind": "no place"}, step(-1), step(252)]
    reporting.page = lambda actual: {
        "events": [event for event in actual if isinstance(event, dict)]
    }
    reporting.ends.set()
    server.until(rollout_id)
    assert agent_data(server, rollout_id) == [step(number) for number in range(1, 253)]
    assert reporting.queries[0] == {"after": "0", "after_sequence": "0", "limit": "100"}


def test_events_have_limits(start: Callable[..., Server], reporting: Reporting) -> None:
    backend = start(max_container_events=5, max_event_bytes=200)
    reporting.events = [step(1), step(2, text="x" * 500), *(step(n) for n in range(3, 300))]
    pool_id = backend.pool(container_url=reporting.container.url, config=TELEMETRY)
    rollout_id = backend.rollout(pool_id)["id"]
    eventually(lambda: len(agent_data(backend, rollout_id)) == 5)
    reporting.ends.set()
    backend.until(rollout_id)
    size = len(json.dumps(step(2, text="x" * 500), separators=(",", ":")))
    large = {"sequence": 2, "truncated": True, "size_bytes": size}
    assert agent_data(backend, rollout_id) == [step(1), large, step(3), step(4), step(5)]
    assert len(reporting.queries) == 1, "nobody wants more of them"


@pytest.mark.parametrize(
    "answer",
    [
        http(404, {"detail": "Not Found"}),
        http(200, {"status": "completed", "reward": 0}),
        http(200, {"events": "none"}),
        http(200, b"<html></html>"),
        http(500, {"detail": "no"}),
        b"nonsense",
    ],
)
def test_a_rollout_goes_on_whatever_its_events_are(
    server: Server, reporting: Reporting, answer: bytes
) -> None:
    reporting.answer = answer
    pool_id = server.pool(container_url=reporting.container.url, config=TELEMETRY)
    reporting.ends.set()
    rollout_id = server.rollout(pool_id)["id"]
    assert server.until(rollout_id)["status"] == "completed"
    assert agent_data(server, rollout_id) == []


@pytest.fixture
def _all_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count each rollout as a short one, however slow the machine is."""
    monkeypatch.setattr(container_events, "_FIRST_PAUSE", 60.0)


@pytest.mark.usefixtures("_all_are_short")
def test_a_container_without_events_is_left_alone(server: Server, reporting: Reporting) -> None:
    reporting.answer = http(404, {"detail": "Not Found"})
    reporting.ends.set()
    pool_id = server.pool(container_url=reporting.container.url, config=TELEMETRY)
    for _ in range(3):
        server.until(server.rollout(pool_id)["id"])
    assert len(reporting.queries) == 1


@pytest.mark.usefixtures("_all_are_short")
def test_a_short_rollout_is_not_asked_for_events_that_nobody_wants(
    server: Server, reporting: Reporting
) -> None:
    reporting.ends.set()
    pool_id = server.pool(container_url=reporting.container.url)
    assert server.until(server.rollout(pool_id)["id"])["status"] == "completed"
    assert [request for request in reporting.container.requests if "/events" in request.path] == []
    sent = next(
        request.json for request in reporting.container.requests if request.method == "POST"
    )
    assert "telemetry" not in sent


def test_telemetry_goes_along(server: Server, reporting: Reporting) -> None:
    reporting.ends.set()
    pool_id = server.pool(container_url=reporting.container.url, config=TELEMETRY)
    server.until(server.rollout(pool_id, seed=3)["id"])
    sent = next(
        request.json for request in reporting.container.requests if request.method == "POST"
    )
    assert sent["telemetry"] == TELEMETRY["telemetry"]
    assert sent["seed"] == 3


@pytest.mark.usefixtures("_all_are_short")
@pytest.mark.parametrize(("count", "reads"), [(1, 1), (0, 0), ("many", 0)])
def test_an_answer_that_counts_events_has_them_read(
    server: Server, reporting: Reporting, count: Any, reads: int
) -> None:
    reporting.events = [{"sequence": 1}]
    reporting.result = {"status": "completed", "reward": 1, "event_count": count}
    pool_id = server.pool(container_url=reporting.container.url)
    rollout_id = server.run(pool_id)["id"]
    assert server.types(rollout_id).count("agent") == len(reporting.queries) == reads


class Telling:
    """Container whose answer is what is put into `pieces`; None is its end."""

    def __init__(self) -> None:
        self.url = ""
        self.pieces: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self.paths: list[str] = []
        # Events and status of its answers to requests for events, which wait for `answers`.
        self.events: list[Any] = []
        self.status = 200
        self.answers = threading.Event()
        self.answers.set()
        self.accepted: str | None = None

    def tell(self, *events: Any) -> None:
        self.pieces.put(json.dumps({"events": events}).encode() + b"\n")

    def end(self, rollout_id: str, *events: Any) -> None:
        line = json.dumps({"events": events}).encode() + b"\n" if events else b""
        answer = {"rollout_id": rollout_id, "status": "completed", "reward": 1}
        count = len(self.events) + len(events)
        self.pieces.put(line + json.dumps({**answer, "event_count": count}).encode())
        self.pieces.put(None)


@pytest.fixture
def telling() -> Iterator[Telling]:
    telling = Telling()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            telling.accepted = self.headers["accept"]
            self.send_response(200)
            self.send_header("content-type", "application/x-ndjson; charset=utf-8")
            self.end_headers()
            while (piece := telling.pieces.get()) is not None:
                self.wfile.write(piece)

        def do_GET(self) -> None:
            telling.paths.append(self.path.partition("?")[0].rpartition("/")[2])
            is_asked = telling.paths[-1] == "events"
            if is_asked:
                telling.answers.wait(60)
            self.send_response(telling.status if is_asked else 200)
            self.end_headers()
            self.wfile.write(json.dumps({"events": telling.events}).encode())

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http_server:
        thread = threading.Thread(target=http_server.serve_forever, args=(0.01,))
        thread.start()
        telling.url = f"http://127.0.0.1:{http_server.server_address[1]}"
        yield telling
        telling.pieces.put(None)
        http_server.shutdown()
        thread.join()


def test_lines_before_an_answer_are_events(
    server: Server, telling: Telling, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Else a busy machine asks before the answer has begun.
    monkeypatch.setattr(container_events, "_FIRST_PAUSE", 600.0)
    pool_id = server.pool(container_url=telling.url)
    rollout_id = server.rollout(pool_id)["id"]
    telling.pieces.put(b"\n")
    telling.tell(step(1), step(2), {"kind": "no place"})
    eventually(lambda: len(agent_data(server, rollout_id)) == 2)
    assert server.state(rollout_id) == "running"
    telling.events = [step(1)]
    telling.end(rollout_id, step(2), step(3))
    assert server.until(rollout_id)["score"] == 1.0
    assert agent_data(server, rollout_id) == [step(1), step(2), step(3)]
    assert server.types(rollout_id)[-3:] == ["agent", "reward", "rollout.completed"]
    assert "events" not in telling.paths, "nothing is left to ask for"
    assert telling.accepted == "application/json, application/x-ndjson"


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense",
        b'{"events": "none"}',
        json.dumps({"events": [step(1, text="x" * 300_000)]}).encode(),
    ],
)
def test_events_of_a_line_that_is_not_read_are_asked_for(
    server: Server, telling: Telling, line: bytes
) -> None:
    telling.events = [step(1), step(2)]
    rollout_id = server.rollout(server.pool(container_url=telling.url))["id"]
    telling.pieces.put(line + b"\n")
    eventually(lambda: len(agent_data(server, rollout_id)) == 2)
    telling.end(rollout_id)
    assert server.until(rollout_id)["score"] == 1.0
    assert agent_data(server, rollout_id) == [step(1), step(2)]


def test_events_of_an_answer_that_breaks_off_stay(server: Server, telling: Telling) -> None:
    rollout_id = server.rollout(server.pool(container_url=telling.url))["id"]
    telling.tell(step(1))
    telling.pieces.put(None)
    assert server.until(rollout_id)["error"]["code"] == "container_bad_response"
    assert agent_data(server, rollout_id) == [step(1)]


def test_events_before_an_answer_have_the_same_limits(
    start: Callable[..., Server], telling: Telling
) -> None:
    backend = start(max_container_events=3)
    rollout_id = backend.rollout(backend.pool(container_url=telling.url))["id"]
    telling.tell(step(1), step(2))
    eventually(lambda: len(agent_data(backend, rollout_id)) == 2)
    telling.end(rollout_id, step(3), step(4), step(5))
    assert backend.until(rollout_id)["score"] == 1.0
    assert agent_data(backend, rollout_id) == [step(1), step(2), step(3)]


def test_events_after_a_line_that_is_not_read_keep_their_order(
    server: Server, telling: Telling
) -> None:
    telling.events = [step(number) for number in range(1, 5)]
    rollout_id = server.rollout(server.pool(container_url=telling.url))["id"]
    answer = {"rollout_id": rollout_id, "status": "completed", "reward": 1, "event_count": 4}
    lines = [json.dumps({"events": [step(1), step(2)]}), "nonsense", json.dumps(answer)]
    telling.pieces.put("\n".join(lines).encode())
    telling.pieces.put(None)
    assert server.until(rollout_id)["score"] == 1.0
    assert agent_data(server, rollout_id) == telling.events


def test_events_that_an_answer_does_not_count_are_asked_for(
    server: Server, telling: Telling
) -> None:
    telling.events = [step(1), step(2)]
    rollout_id = server.rollout(server.pool(container_url=telling.url))["id"]
    lines = [json.dumps({"events": [step(1)]}), json.dumps({"status": "completed", "reward": 1})]
    telling.pieces.put("\n".join(lines).encode())
    telling.pieces.put(None)
    assert server.until(rollout_id)["score"] == 1.0
    assert agent_data(server, rollout_id) == telling.events


def _lines(*documents: Any) -> bytes:
    return "\n".join(json.dumps(document) for document in documents).encode()


def _page(*numbers: int) -> dict[str, Any]:
    return {"events": [step(number) for number in numbers]}


END = {"status": "completed", "reward": 1}


@pytest.mark.parametrize("tail", [b"", b"\n", b"\r\n\n"])
def test_lines_that_come_at_once_are_all_stored(
    server: Server, telling: Telling, tail: bytes
) -> None:
    rollout_id = server.rollout(server.pool(container_url=telling.url))["id"]
    pages = [_page(1, 2), _page(1, 2, 3), _page(5), _page(4, 6), {"another": "kind"}]
    telling.pieces.put(_lines(*pages, {**END, "event_count": 6}) + tail)
    telling.pieces.put(None)
    assert server.until(rollout_id)["score"] == 1.0
    assert agent_data(server, rollout_id) == [step(number) for number in range(1, 7)]
    assert "events" not in telling.paths


def test_an_end_while_events_are_asked_for_loses_none(server: Server, telling: Telling) -> None:
    rollout_id = server.rollout(server.pool(container_url=telling.url))["id"]
    telling.events = [step(1), step(2)]
    telling.answers.clear()
    telling.pieces.put(b"nonsense\n")
    eventually(lambda: "events" in telling.paths)
    telling.pieces.put(_lines(_page(2), {**END, "event_count": 2}))
    telling.pieces.put(None)
    eventually(lambda: telling.paths.count("events") == 2)
    telling.answers.set()
    assert server.until(rollout_id)["score"] == 1.0
    assert agent_data(server, rollout_id) == [step(1), step(2)]


@pytest.mark.parametrize("status", [404, 500])
def test_lines_are_read_of_a_container_that_cannot_be_asked(
    server: Server, telling: Telling, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(container_events, "_FIRST_PAUSE", 0.01)
    monkeypatch.setattr(container_events, "_LONGEST_PAUSE", 0.01)
    telling.status = status
    pool_id = server.pool(container_url=telling.url)
    rollout_id = server.rollout(pool_id)["id"]
    eventually(lambda: telling.paths.count("events") >= 3)
    telling.tell(step(1))
    eventually(lambda: agent_data(server, rollout_id) == [step(1)])
    telling.pieces.put(b"nonsense\n")
    telling.tell(step(3))
    eventually(lambda: agent_data(server, rollout_id) == [step(1), step(3)])
    telling.pieces.put(_lines(_page(4), {**END, "event_count": 4}))
    telling.pieces.put(None)
    assert server.until(rollout_id)["score"] == 1.0
    assert agent_data(server, rollout_id) == [step(1), step(3), step(4)]


def test_events_of_an_answer_that_cannot_be_read_are_stored(
    server: Server, telling: Telling, failures: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise WorkerDiedError("it was killed")

    monkeypatch.setattr(runner, "interpret_politely", fail)
    rollout_id = server.rollout(server.pool(container_url=telling.url))["id"]
    telling.pieces.put(_lines(_page(1), {**END, "event_count": 1}))
    telling.pieces.put(None)
    assert server.until(rollout_id)["error"]["code"] == "internal_error"
    assert agent_data(server, rollout_id) == [step(1)]
    assert "it was killed" in failures.pop()
