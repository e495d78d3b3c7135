"""`GET /metrics`: its access, its format, and its figures."""

from __future__ import annotations

import http.client
import re
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from tests.support.backend_server import KEY, Server, eventually

Series = tuple[str, frozenset[tuple[str, str]]]


class Scrape:
    """One answer of `/metrics`, read by the parser that belongs to the format."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.values: dict[Series, float] = {}
        self.families = {family.name: family for family in text_string_to_metric_families(text)}
        for family in self.families.values():
            assert family.documentation
            assert family.type != "unknown"
            for sample in family.samples:
                series = (sample.name, frozenset(sample.labels.items()))
                assert series not in self.values, "a series must not be told twice"
                self.values[series] = sample.value

    def get(self, name: str, **labels: str) -> float:
        return self.values.get((f"synth_pools_{name}", frozenset(labels.items())), 0.0)

    def labelled(self, name: str, label: str) -> dict[str, float]:
        """Return sums by the values of one label."""
        actual: dict[str, float] = {}
        for (series, labels), value in self.values.items():
            if series == f"synth_pools_{name}":
                key = dict(labels)[label]
                actual[key] = actual.get(key, 0.0) + value
        return actual


def scrape(server: Server) -> Scrape:
    response = server.send("GET", "/metrics")
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return Scrape(response.text)


def test_the_key_and_the_method(server: Server) -> None:
    for headers in ({"authorization": ""}, {"authorization": "Bearer wrong"}):
        body = server.refused("GET", "/metrics", 401, "unauthorized", headers=headers)
        assert KEY not in str(body)
        server.refused("POST", "/metrics", 401, "unauthorized", headers=headers)
    for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        response = server.send(method, "/metrics")
        assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD")
        assert response.json()["error"]["code"] == "method_not_allowed"
    server.refused("GET", "/metrics/", 404, "not_found")
    server.refused("GET", "/v1/metrics", 404, "not_found")
    head = server.send("HEAD", "/metrics")
    assert head.status_code == 200
    assert head.content == b""
    assert int(head.headers["content-length"]) > 1000
    assert head.headers["x-request-id"].startswith("req_")


def test_the_text_is_of_the_format_line_by_line(server: Server) -> None:
    server.run(server.pool())
    metrics = scrape(server)
    assert KEY not in metrics.text
    assert metrics.text.endswith("\n")
    names = [line.split()[2] for line in metrics.text.splitlines() if line.startswith("# TYPE")]
    assert len(names) == len(set(names))
    assert metrics.values["synth_pools_build_info", _build(metrics)] == 1
    assert metrics.values["process_resident_memory_bytes", frozenset()] > 1_000_000
    for family in metrics.families.values():
        if family.type == "histogram":
            _check_histogram(metrics, family)


def _build(metrics: Scrape) -> frozenset[tuple[str, str]]:
    [sample] = metrics.families["synth_pools_build_info"].samples
    assert set(sample.labels) == {"version", "api_version"}
    return frozenset(sample.labels.items())


def _check_histogram(metrics: Scrape, family: Any) -> None:
    """Its buckets only grow, the last has all, and the sum goes with the count."""
    by_labels: dict[frozenset[tuple[str, str]], list[float]] = {}
    for sample in family.samples:
        labels = dict(sample.labels)
        if labels.pop("le", None) is not None:
            by_labels.setdefault(frozenset(labels.items()), []).append(sample.value)
    for rest, counts in by_labels.items():
        assert counts == sorted(counts)
        assert counts[-1] == metrics.values[f"{family.name}_count", rest]
        assert metrics.values[f"{family.name}_sum", rest] >= 0


def test_the_guide_names_them_all(server: Server) -> None:
    server.run(server.pool(container_urls=["http://127.0.0.1:1"]))
    metrics = scrape(server)
    names = {line.split()[2] for line in metrics.text.splitlines() if line.startswith("# TYPE")}
    ours = {name.removeprefix("synth_pools_") for name in names if name.startswith("synth_pools_")}
    guide = Path(__file__).parents[3].joinpath("docs/local-backend.md").read_text(encoding="utf-8")
    table = re.search(r"^\| metric \|.*?\n\n", guide, re.DOTALL | re.MULTILINE)
    assert table
    rows = [row.split("|")[1] for row in table.group().splitlines()[2:-1]]
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == ours


def test_the_library_s_global_registry_stays_out_of_it(server: Server) -> None:
    scrape(server)
    assert not [family for family in REGISTRY.collect() if family.name.startswith("synth_pools")]


def test_a_start_does_not_wait_for_the_library() -> None:
    program = (
        "import sys, urllib.request\n"
        "from synth_pools.local import LocalBackend\n"
        "with LocalBackend() as backend:\n"
        "    before = 'prometheus_client' in sys.modules\n"
        "    headers = {'authorization': f'Bearer {backend.api_key}'}\n"
        "    request = urllib.request.Request(f'{backend.url}/metrics', headers=headers)\n"
        "    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))\n"
        "    direct.open(request, timeout=60).close()\n"
        "    print(before, 'prometheus_client' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert (done.stdout.split(), done.stderr) == (["False", "True"], "")


@pytest.mark.sqlite
def test_every_state_is_counted_as_it_is_stored(start: Callable[..., Server]) -> None:
    backend = start(heartbeat_seconds=0.2)
    slow = backend.pool(concurrency=1)
    running = backend.rollout(slow, env={"delay": 600})["id"]
    backend.until(running, "running")
    for _ in range(2):
        backend.rollout(slow)
    backend.post(f"/v1/rollouts/{backend.rollout(slow)['id']}/cancel")
    quick = backend.pool(concurrency=3)
    for _ in range(4):
        backend.run(quick, env={"reward": 1})
    backend.run(quick, env={"fail": True})
    removed = backend.pool()
    backend.call("DELETE", f"/v1/pools/{removed}")
    metrics = scrape(backend)
    states = {"queued": 2, "running": 1, "completed": 4, "failed": 1, "cancelled": 1}
    assert metrics.labelled("rollouts", "state") == states
    assert metrics.labelled("pools", "status") == {"active": 2, "archived": 1}
    assert metrics.get("pool_rollouts", pool=slow, state="queued") == 2
    assert metrics.get("pool_rollouts", pool=slow, state="running") == 1
    assert metrics.labelled("pool_concurrency", "pool") == {slow: 1, quick: 3}
    assert metrics.get("rollouts_admitted_total") == 9
    assert metrics.get("rollout_attempts_total") == 6
    assert metrics.get("rollouts_finished_total", state="completed", code="") == 4
    assert metrics.get("rollouts_finished_total", state="failed", code="container_failed") == 1
    assert metrics.get("rollouts_finished_total", state="cancelled", code="") == 1
    assert metrics.get("rollout_queue_seconds_count") == 6
    assert metrics.labelled("rollout_run_seconds_count", "state") == {"completed": 4, "failed": 1}
    assert metrics.get("limit", limit="max_queued") == 100_000

    # The stored figures are right after a restart: running rollouts are lost with the echo target,
    # and waiting ones have their turn. Counters start at zero.
    again = start(data_dir=_copy(backend.services.settings.data_dir))
    states = {"queued": 0, "running": 0, "completed": 6, "failed": 2, "cancelled": 1}
    eventually(lambda: scrape(again).labelled("rollouts", "state") == states)
    metrics = scrape(again)
    assert metrics.get("rollouts_finished_total", state="completed", code="") == 2
    assert metrics.get("rollouts_finished_total", state="failed", code="backend_restarted") == 1
    assert metrics.get("rollouts_admitted_total") == 0


def _copy(data_dir: Path) -> Path:
    """Copy the data as it is on the disk at this moment, which is what a crash leaves."""
    copy = data_dir.with_name(f"{data_dir.name}-copy")
    copy.mkdir()
    database = "synth-pools.sqlite3"
    with sqlite3.connect(data_dir / database) as source, sqlite3.connect(copy / database) as target:
        source.backup(target)
    return copy


def test_durations_fall_into_their_buckets(start: Callable[..., Server]) -> None:
    backend = start()
    pool = backend.pool(concurrency=1)
    first = backend.rollout(pool, env={"delay": 0.3})["id"]
    second = backend.rollout(pool)["id"]
    backend.until(first)
    backend.until(second)
    metrics = scrape(backend)
    summaries = [backend.get(f"/v1/rollouts/{id_}/summary")["timing"] for id_ in (first, second)]
    for name, field, labels in (
        ("rollout_queue_seconds", "queue_seconds", {}),
        ("rollout_run_seconds", "run_seconds", {"state": "completed"}),
    ):
        values = [float(timing[field]) for timing in summaries]
        assert metrics.get(f"{name}_sum", **labels) == pytest.approx(sum(values))
        for bound in (0.05, 0.1, 0.5, 1.0):
            below = sum(value <= bound for value in values)
            assert metrics.get(f"{name}_bucket", le=str(bound), **labels) == below


def test_requests_are_timed_by_operation_and_class(start: Callable[..., Server]) -> None:
    backend = start()
    pool = backend.pool()
    for _ in range(3):
        backend.run(pool, env={"delay": 0.1})
    backend.get(f"/v1/pools/{pool}")
    backend.refused("GET", "/v1/pools/none-such", 404, "pool_not_found")
    backend.refused("GET", "/v1/nothing", 404, "not_found")
    backend.refused("GET", "/v1/pools", 401, "unauthorized", headers={"authorization": ""})
    backend.get("/health")
    scrape(backend)
    metrics = scrape(backend)
    count = "request_seconds_count"
    assert metrics.get(count, operation="create_rollout", status="2xx") == 3
    assert metrics.get("request_seconds_sum", operation="create_rollout", status="2xx") >= 0.3
    assert metrics.get(count, operation="get_pool", status="2xx") == 1
    assert metrics.get(count, operation="get_pool", status="4xx") == 1
    assert metrics.get(count, operation="health", status="2xx") == 1
    assert metrics.get(count, operation="metrics", status="2xx") == 1
    # An unknown path, and a request without a key, count under no operation.
    assert metrics.get(count, operation="(none)", status="4xx") == 2


def test_open_streams_are_counted_while_they_are_open(start: Callable[..., Server]) -> None:
    backend = start(heartbeat_seconds=0.1)
    rollout = backend.rollout(backend.pool(), env={"delay": 600})["id"]
    assert scrape(backend).get("event_streams") == 0
    path = f"/v1/rollouts/{rollout}/events"
    with backend.http.stream("GET", path) as first, backend.http.stream("GET", path) as second:
        assert first.status_code == second.status_code == 200
        metrics = scrape(backend)
        assert metrics.get("event_streams") == 2
        # They are answered, and how long they stay open is no latency.
        latency = {"operation": "stream_global_rollout_events", "status": "2xx"}
        assert metrics.get("request_seconds_count", **latency) == 2
        assert metrics.get("request_seconds_sum", **latency) < 30
    eventually(lambda: scrape(backend).get("event_streams") == 0)


def test_transactions_are_timed_and_batches_counted(start: Callable[..., Server]) -> None:
    backend = start()
    pool = backend.pool(concurrency=20)
    before = scrape(backend)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: backend.run(pool), range(80)))
    metrics = scrape(backend)
    transactions = metrics.get("store_transaction_seconds_count")
    writes = metrics.get("store_batch_writes_sum")
    assert transactions == metrics.get("store_batch_writes_count")
    assert metrics.get("store_transaction_seconds_sum") > 0
    # An admission, a start and an end of each at least, of which some shared a transaction.
    assert writes - before.get("store_batch_writes_sum") >= 3 * 80
    assert transactions < writes
    assert metrics.get("store_failed_transactions_total") == 0
    assert (
        metrics.get("store_bytes", file="database") + metrics.get("store_bytes", file="log") > 4096
    )


def test_there_are_no_more_series_than_a_bound(
    start: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("synth_pools.backend.metrics.snapshot._MOST_POOLS", 3)
    backend = start()
    pools = [backend.pool(concurrency=1) for _ in range(6)]
    # The oldest is the busiest.
    running = backend.rollout(pools[0], env={"delay": 600})["id"]
    backend.until(running, "running")
    backend.rollout(pools[0])
    backend.rollout(pools[1], env={"delay": 600})
    backend.until(backend.rollout(pools[2], env={"delay": 600})["id"], "running")
    metrics = scrape(backend)
    assert metrics.labelled("pool_concurrency", "pool") == {
        **dict.fromkeys((pools[0], pools[1], pools[2]), 1.0),
        "(others)": 3.0,
    }
    by_state = metrics.labelled("pool_rollouts", "state")
    in_all = metrics.labelled("rollouts", "state")
    assert by_state == {state: in_all[state] for state in ("queued", "running")}


@pytest.mark.sqlite
def test_a_database_that_broke_is_told_of(
    start: Callable[..., Server], failures: list[str]
) -> None:
    backend = start()
    pool = backend.pool()
    backend.run(pool)
    assert scrape(backend).get("store_readable") == 1
    database = backend.services.settings.data_dir / "synth-pools.sqlite3"
    hidden = database.with_name("hidden")
    database.rename(hidden)
    try:
        # A directory in its place cannot be opened as a database.
        database.mkdir()
        metrics = scrape(backend)
    finally:
        database.rmdir()
        hidden.rename(database)
    [line] = failures
    assert "the database cannot be used" in line
    failures.clear()
    assert metrics.get("store_readable") == 0
    assert "synth_pools_rollouts" not in metrics.families
    assert metrics.get("rollouts_admitted_total") == 1
    assert scrape(backend).labelled("rollouts", "state")["completed"] == 1


@pytest.fixture
def scraping(start: Callable[..., Server]) -> Iterator[tuple[Server, list[Scrape]]]:
    """A backend that is scraped all the time."""
    backend = start()
    scrapes: list[Scrape] = []
    end = threading.Event()

    def scrape_on() -> None:
        while not end.is_set():
            scrapes.append(scrape(backend))

    thread = threading.Thread(target=scrape_on)
    thread.start()
    try:
        yield backend, scrapes
    finally:
        end.set()
        thread.join(30)


def test_each_scrape_shows_one_moment(scraping: tuple[Server, list[Scrape]]) -> None:
    backend, scrapes = scraping
    pools = [backend.pool(concurrency=3) for _ in range(4)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: backend.run(pools[number % 4]), range(120)))
    eventually(lambda: len(scrapes) > 2)
    for metrics in scrapes:
        in_all = metrics.labelled("rollouts", "state")
        by_pool = metrics.labelled("pool_rollouts", "state")
        assert all(by_pool.get(state, 0) == in_all[state] for state in ("queued", "running"))
    finished = [
        metrics.get("rollouts_finished_total", state="completed", code="") for metrics in scrapes
    ]
    assert finished == sorted(finished)
    metrics = scrape(backend)
    assert metrics.labelled("rollouts", "state")["completed"] == 120
    assert metrics.get("rollouts_finished_total", state="completed", code="") == 120


def test_a_scrape_with_a_web_page_s_name_is_refused(server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    headers = {"Authorization": f"Bearer {KEY}", "Host": "evil.example"}
    connection.request("GET", "/metrics", headers=headers)
    assert connection.getresponse().status == 403
    connection.close()
