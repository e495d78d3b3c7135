"""The live page under load: many rows, many events, a backend that restarts, and axe-core."""

from __future__ import annotations

import json
import platform
import sqlite3
import statistics
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from synth_pools.local import LocalBackend
from tests.support.axe import check
from tests.support.backend_server import eventually
from tests.support.browser import Page
from tests.support.event_streams import streams_of
from tests.support.ports import HeldPort
from tests.support.process_pools import process

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

MANY = 100_000
IDS = "[...document.querySelectorAll('.rows td.c-id a')].map(e => e.getAttribute('href'))"
# A task that takes longer is felt.
MOST_SECONDS = 0.05
NUMBERS = "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?)"


def is_database(path: Path) -> bool:
    return path.read_bytes()[:15] == b"SQLite format 3"


def multiply(folder: Path, total: int) -> None:
    """Fill the database of a backend that is stopped: many rollouts like the one that it has."""
    [path] = [path for path in folder.iterdir() if path.is_file() and is_database(path)]
    with closing(sqlite3.connect(path)) as db, db:
        columns = [row[1] for row in db.execute("PRAGMA table_info(rollouts)")]
        others = ", ".join(name for name in columns if name not in ("seq", "id"))
        db.execute(
            f"{NUMBERS} INSERT INTO rollouts (id, {others})"
            f" SELECT printf('rollout_%032x', n), {others} FROM numbers, (SELECT * FROM rollouts)",
            (total - 1,),
        )


def multiply_events(folder: Path, total: int) -> None:
    """Give the rollout of a stopped backend a number of events of its agent."""
    [path] = [path for path in folder.iterdir() if path.is_file() and is_database(path)]
    with closing(sqlite3.connect(path)) as db, db:
        [agent] = db.execute("SELECT sequence FROM events WHERE type = 'agent'").fetchone()
        # Twice, since numbers are taken at every moment of it.
        for move in (10 * total, total - 1 - 10 * total):
            db.execute(
                "UPDATE events SET sequence = sequence + ? WHERE sequence > ?", (move, agent)
            )
        columns = [row[1] for row in db.execute("PRAGMA table_info(events)")]
        others = ", ".join(name for name in columns if name != "sequence")
        db.execute(
            f"{NUMBERS} INSERT INTO events (sequence, {others})"
            f" SELECT ? + n, {others} FROM numbers, (SELECT * FROM events WHERE sequence = ?)",
            (total - 1, agent, agent),
        )
        db.execute("UPDATE rollouts SET last_sequence = last_sequence + ?", (total - 1,))


def scroll(page: Page) -> Iterator[float]:
    """Scroll from top to bottom, frame by frame; yield the seconds that each took of a processor.

    Not the seconds that pass: others use the machine, too.
    """
    page.call("Performance.enable", timeDomain="threadTicks")

    def spent() -> float:
        metrics = page.call("Performance.getMetrics")["metrics"]
        return next(
            float(metric["value"]) for metric in metrics if metric["name"] == "TaskDuration"
        )

    for frame in range(100):
        before = spent()
        page.run(
            "new Promise((done) => {"
            "  const rows = document.querySelector('.rows');"
            f"  rows.scrollTop = rows.scrollHeight * {frame / 99};"
            "  requestAnimationFrame(() => requestAnimationFrame(done));"
            "}).then(() => 0)"
        )
        yield spent() - before


def test_a_hundred_thousand_rows_scroll_smoothly(browser: Page, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with LocalBackend(folder) as backend, backend.client() as client:
        client.create_pool({"pool_id": "large", "name": "large"})
        body: dict[str, Any] = {"mode": "sync", "seed": 7}
        client.create_rollout("large", body)
    multiply(folder, MANY)
    with LocalBackend(folder) as backend:
        browser.open(backend.page_url())
        browser.screen(1280, 800)
        browser.run("location.hash = '#/pools/large'")
        browser.until("document.querySelector('.tools [role=status]')?.innerText")
        # The page loads further pages of the list until it has all.
        browser.until(
            "document.querySelector('.tools [role=status]').innerText === '100,000 rollouts'", 150
        )
        assert browser.run(
            "document.querySelector('.rows table').getAttribute('aria-rowcount')"
        ) == str(MANY + 1)
        assert browser.run("document.querySelectorAll('.rows tr').length") < 100
        frames = list(scroll(browser))
        assert statistics.median(frames) < MOST_SECONDS, sorted(frames)
        browser.run("document.querySelector('.rows').scrollTop = 1e9")
        browser.until(f"{IDS}.length > 5")
        browser.until(f"!!document.querySelector('[aria-rowindex=\"{MANY + 1}\"]')")
        browser.fill("input[type=search]", f"{99_999:032x}")
        browser.until(f"{IDS}.length === 1")
        browser.open("about:blank")


# Notes the number of each event that the page reads.
NOTE = """(() => {
  const parse = JSON.parse;
  window.read = [];
  JSON.parse = (text, ...rest) => {
    const value = parse(text, ...rest);
    if (value?.event) window.read.push(value.sequence);
    return value;
  };
})()"""


def test_many_events_are_all_there_over_a_restart(browser: Page, tmp_path: Path) -> None:
    page, folder, many = browser, tmp_path / "data", 100_000
    port = HeldPort.kept().number
    with LocalBackend(folder, port=port) as backend, backend.client() as client:
        client.create_pool({"pool_id": "events", "name": "events"})
        body: dict[str, Any] = {"mode": "sync"}
        rollout = client.create_rollout("events", body)
    multiply_events(folder, many)
    total = many + 4
    count = "Number(document.querySelector('h2 small')?.innerText.replaceAll(',', ''))"
    with LocalBackend(folder, port=port) as backend:
        with backend.client() as client:
            summary = client.rollouts.summary("events", rollout["id"])
        assert summary["last_event"]["sequence"] == total
        page.open(backend.page_url())
        page.run(NOTE)
        # A trace ends with the page that began it.
        trace = page.tasks()
        tasks = trace.__enter__()
        start = time.monotonic()
        page.run(f"location.hash = '#/rollouts/{rollout['id']}'")
        page.until(f"{count} > 1000")
    page.until(f"!!document.querySelector('.offline')?.innerText || {count} === {total}")
    with LocalBackend(folder, port=port):
        page.until(f"{count} === {total}", 120)
        page.until("!document.querySelector('.offline').innerText")
        trace.__exit__(None, None, None)
        # In their order, each once.
        assert page.run("read.length") == total
        assert page.run("read.every((sequence, index) => sequence === index + 1)")
        # Not all of them are drawn, and the last ones are.
        assert page.run("document.querySelectorAll('.events li').length") == 100
        assert page.run("document.querySelector('.events li:last-child b').innerText") == (
            "rollout.completed"
        )
        page.click("button", "Show earlier ones")
        page.until("document.querySelectorAll('.events li').length === 2100")
        page.open("about:blank")
    told(total, tasks, start)


def told(events: int, tasks: list[float], start: float) -> None:
    """Print what a flood cost the page, and have most of it be work that is not felt."""
    seconds = time.monotonic() - start
    rate = events / sum(tasks)
    print(f"\n{events:,} events in {seconds:.1f} s, {rate:,.0f} for each second of a processor, "
          f"the longest task {max(tasks) * 1000:.0f} ms")  # fmt: skip
    felt = [task for task in tasks if task > MOST_SECONDS]
    assert sum(felt) < sum(tasks) / 2, sorted(tasks)[-5:]


def test_a_restart_loses_and_doubles_no_row(browser: Page, tmp_path: Path) -> None:
    folder = tmp_path / "data"

    def rows() -> list[str]:
        result: list[str] = browser.run(IDS)
        return result

    port = HeldPort.kept().number
    backend = LocalBackend(folder, port=port)
    with backend, backend.client() as client:
        client.create_pool({"pool_id": "kept", "name": "kept", "concurrency": 2})
        slow: dict[str, Any] = {"env": {"delay": 0.3}, "limits": {"max_attempts": 3}}
        client.create_rollout_batch({"pool_id": "kept", "rollouts": [slow] * 8})
        browser.open(backend.page_url())
        browser.screen(1280, 800)
        browser.run("location.hash = '#/pools/kept'")
        browser.until(f"{IDS}.length === 8")
        browser.until("document.querySelectorAll('.rows .completed').length > 1")
    browser.until("!!document.querySelector('.offline')?.innerText")
    with LocalBackend(folder, port=port) as again, again.client() as client:
        client.create_rollout_batch({"pool_id": "kept", "rollouts": [slow] * 4})
        browser.until("document.querySelectorAll('.rows .completed').length === 12", 120)
        browser.until("!document.querySelector('.offline').innerText")
        expected = [f"#/rollouts/{item['id']}" for item in client.list_rollouts("kept")["items"]]
        assert rows() == expected
        # Streams brought all of it: only unknown rollouts were read.
        assert "live" in browser.text(".facts")
        browser.open("about:blank")


def multiply_finished(folder: Path, total: int) -> int:
    """Add a number of rollouts with events to a pool of a stopped backend.

    Returns:
        How many events of them a page is told of.
    """
    [path] = [path for path in folder.iterdir() if path.is_file() and is_database(path)]
    with closing(sqlite3.connect(path)) as db, db:
        [seq, events] = db.execute("SELECT max(seq), max(last_sequence) FROM rollouts").fetchone()
        [place] = db.execute("SELECT max(place) FROM events").fetchone()
        columns = [row[1] for row in db.execute("PRAGMA table_info(rollouts)")]
        others = ", ".join(name for name in columns if name not in ("seq", "id"))
        db.execute(
            f"{NUMBERS} INSERT INTO rollouts (seq, id, {others})"
            f" SELECT ? + n, printf('rollout_%032x', n), {others}"
            " FROM numbers, (SELECT * FROM rollouts WHERE seq = ?)",
            (total, seq, seq),
        )
        db.execute(
            f"{NUMBERS} INSERT INTO events"
            " SELECT ? + n, sequence, type, timestamp, data, pool_seq,"
            " ? + (n - 1) * ? + sequence"
            " FROM numbers, (SELECT * FROM events WHERE rollout_seq = ?)",
            (total, seq, place, events, seq),
        )
    # It does not ask for events of agents.
    return total * (int(events) - 1)


def test_a_flood_of_events_loses_and_doubles_no_row(browser: Page, tmp_path: Path) -> None:
    """Send at once what happened while the backend was away."""
    folder, total = tmp_path / "data", 10_000
    port = HeldPort.kept().number
    with LocalBackend(folder, port=port) as backend, backend.client() as client:
        client.create_pool({"pool_id": "flood", "name": "flood"})
        body: dict[str, Any] = {"mode": "sync", "seed": 7}
        client.create_rollout("flood", body)
        browser.open(backend.page_url())
        browser.screen(1280, 800)
        browser.run("location.hash = '#/pools/flood'")
        browser.until(f"{IDS}.length === 1")
        browser.until("document.querySelector('.facts')?.innerText.includes('live')")
    browser.until("!!document.querySelector('.offline')?.innerText")
    events = multiply_finished(folder, total)
    browser.run(NOTE)
    start = time.monotonic()
    with browser.tasks() as tasks, LocalBackend(folder, port=port) as backend:
        text = "document.querySelector('.tools [role=status]').innerText"
        browser.until(f"{text} === '{total + 1:,} rollouts'", 120)
        counts = "document.querySelector('select[aria-label=\"All states\"]').innerText"
        browser.until(f"{counts}.includes('completed ({total + 1:,})')", 120)
        # Each of them once: found by the ends of their ids, which no two have in common.
        for number in (1, total // 2, total):
            browser.fill("input[type=search]", f"{number:032x}")
            browser.until(f"{IDS}.length === 1")
        assert browser.run("read.length") == events
    told(events, tasks, start)
    browser.open("about:blank")


def test_rollouts_of_all_pools_are_pushed_as_far_as_there_are_streams(
    page: Page, backend: LocalBackend
) -> None:
    body: dict[str, Any] = {"mode": "sync", "seed": 1}
    completed = "document.querySelectorAll('.rows .completed').length"
    with backend.client() as client:
        for name in ("a", "b"):
            client.create_pool({"pool_id": name, "name": name})
        page.run("location.hash = '#/rollouts'")
        page.until("document.querySelector('.rows .empty')?.innerText === 'No rollouts yet.'")
        eventually(lambda: streams_of(backend) == 2)
        created = [client.create_rollout(name, body)["id"] for name in ("a", "b", "a")]
        page.until(f"{completed} === 3")
        # Running rollouts are not polled.
        assert not [url for url in page.requested if "state=running" in url]
        # There is no stream for a third pool, which is polled.
        client.create_pool({"pool_id": "c", "name": "c"})
        created.append(client.create_rollout("c", body)["id"])
        page.until(f"{completed} === 4")
        assert sorted(page.run(IDS)) == sorted(f"#/rollouts/{item}" for item in created)
        # Reports of the browser about its requests come with an answer.
        eventually(lambda: page.run("true") and "state=running" in " ".join(page.requested))
        eventually(lambda: streams_of(backend) == 2)
        # With one of them gone there is one for each again.
        client.delete_pool("a")
        page.requested.clear()
        running = client.create_rollout("c", {"env": {"delay": 600}})["id"]
        page.until("document.querySelectorAll('.rows .running').length === 1")
        client.cancel_rollout("c", running)
        page.until("document.querySelectorAll('.rows .cancelled').length === 1")
        eventually(lambda: streams_of(backend) == 2)


def test_a_page_that_nobody_sees_holds_no_stream(page: Page, backend: LocalBackend) -> None:
    def streams() -> float:
        return streams_of(backend)

    def be_hidden(value: str) -> None:
        page.run(
            f"Object.defineProperty(document, 'hidden', {{value: {value}, configurable: true}});"
            "document.dispatchEvent(new Event('visibilitychange'))"
        )

    with backend.client() as client:
        client.create_pool({"pool_id": "a", "name": "a"})
        page.run("location.hash = '#/pools/a'")
        page.until("document.querySelector('.facts')?.innerText.includes('live')")
        eventually(lambda: streams() == 1)
        be_hidden("true")
        eventually(lambda: streams() == 0)
        created = [client.create_rollout("a", {"mode": "sync", "seed": 1})["id"] for _ in range(3)]
        assert page.run(f"{IDS}.length") == 0
        be_hidden("false")
        page.until("document.querySelectorAll('.rows .completed').length === 3")
        assert page.run(IDS) == [f"#/rollouts/{item}" for item in reversed(created)]
        eventually(lambda: streams() == 1)


def test_what_processes_of_a_pool_write_is_shown(browser: Page, tmp_path: Path) -> None:
    with (
        LocalBackend(tmp_path / "data", allow_processes=True) as backend,
        backend.client() as client,
    ):
        shell = 'echo \'<b>ready to go</b>\'; exec "$0" "$@"'
        words = process()["argv"]
        config = {"process": {"argv": ["/bin/sh", "-c", shell, *words]}}
        body: dict[str, Any] = {"pool_id": "own", "name": "own", "config": config}
        client.create_pool(body)
        browser.open(backend.page_url())
        browser.run("location.hash = '#/pools/own/output'")
        browser.until(
            "document.querySelector('.output')?.textContent.includes('<b>ready to go</b>')"
        )
        browser.until("document.querySelector('[aria-label=Containers] .healthy')?.innerText")
        text = browser.run("document.querySelector('[aria-label=Containers]').innerText")
        assert platform.node() in text
        browser.run("location.hash = '#/'")
        browser.until(
            f"document.querySelector('[aria-label=Pools]')?.innerText.includes("
            f"'1 of 1 healthy on {platform.node()}')"
        )
        browser.open("about:blank")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(page: Page, backend: LocalBackend, scheme: str) -> None:
    page.scheme(scheme)
    with backend.client() as client:
        client.create_pool({"pool_id": "a", "name": "a"})
        rollouts = []
        for fails in (False, True, False):
            body: dict[str, Any] = {"mode": "sync", "seed": 1, "env": {"fail": fails}}
            rollouts.append(client.create_rollout("a", body)["id"])
        places = [
            ("#/", ".wide table"),
            ("#/pools/a", ".rows td a"),
            ("#/pools/a/plots", ".plot canvas"),
            ("#/pools/a/groups", ".wide table"),
            ("#/pools/a/output", ".empty"),
            ("#/pools/a/definition", "pre"),
            ("#/rollouts", ".rows td a"),
            (f"#/rollouts/{rollouts[0]}", ".events li"),
            (f"#/rollouts/{rollouts[1]}", ".failure"),
            ("#/compare/a/a", ".plot canvas"),
            ("#/pools/nope", ".empty"),
        ]
    for place, sign in places:
        page.run(f"location.hash = {json.dumps(place)}")
        page.until(f"!!document.querySelector({json.dumps(sign)})")
        check(page, place)
    page.run("location.hash = '#/'")
    page.click("button", "New pool")
    check(page, "dialog")
    page.click("dialog button", "Back")
    page.click(".bar button", "Log out")
    page.until("!!document.querySelector('input[name=key]')")
    check(page, "log-in")
