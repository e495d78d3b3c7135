"""Runs on the live page: their list, one of them, its cost, and the filters of lists."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from synth_pools import ContainerPoolsClient, NotFoundError
from synth_pools.container import Container, Result, Rollout
from synth_pools.local import LocalBackend
from tests.support.axe import check
from tests.support.browser import Page

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

SEEDS = "[...document.querySelectorAll('.rows td.c-seed')].map(e => e.innerText).join()"
CELLS = (
    "[...document.querySelectorAll('[aria-label=Runs] tbody tr')]"
    ".map(row => [...row.cells].map(e => e.innerText.trim()))"
)


@pytest.fixture
def client(backend: LocalBackend) -> Iterator[ContainerPoolsClient]:
    with backend.client() as client:
        yield client


@pytest.fixture
def is_free() -> threading.Event:
    """Clear while rollouts are held back."""
    event = threading.Event()
    event.set()
    return event


@pytest.fixture
def pool(client: ContainerPoolsClient, is_free: threading.Event) -> Iterator[str]:
    """Pool with the runs `monday` and `tue/day`, each of the seeds 1 to 4, of which 4 fails."""
    container = Container("paid", tasks={"easy": {}, "hard": {}})

    @container.rollout
    def play(rollout: Rollout) -> Result:
        rollout.usage(input_tokens=100, output_tokens=10, cost_usd=0.03 * (rollout.seed or 0))
        assert is_free.wait(60)
        if rollout.seed == 4:
            raise ValueError("the model is silent")
        return Result(reward=rollout.env["reward"])

    with container.running() as url:
        tasks = [{"task_id": "easy"}, {"task_id": "hard"}]
        definition: dict[str, Any] = {"pool_id": "paid", "container_url": url, "tasks": tasks}
        pool = str(client.create_pool(definition)["id"])
        for run, gain in (("monday", 0.0), ("tue/day", 0.25)):
            for seed in (1, 2, 3, 4):
                body: dict[str, Any] = {
                    "mode": "sync",
                    "seed": seed,
                    "task_id": "easy" if seed < 3 else "hard",
                    "run": run,
                    "labels": {"model": "small" if seed == 1 else "large"},
                    "env": {"reward": seed / 4 + gain * (seed - 2)},
                }
                client.create_rollout(pool, body)
        yield pool


def test_runs_are_listed_with_their_counts_rewards_and_dollars(
    page: Page, client: ContainerPoolsClient, pool: str
) -> None:
    page.click("nav a", "Runs")
    page.until(f"{CELLS}.length === 2")
    latest, earliest = page.run(CELLS)
    heads = page.run("[...document.querySelectorAll('[aria-label=Runs] th')].map(e => e.innerText)")
    assert dict(zip(heads, earliest, strict=True)).items() >= {
        "Run": "monday", "Completed": "3", "Failed": "1", "Cancelled": "0", "Mean reward": "0.5",
        "Tokens in": "400", "Tokens out": "40", "Cost": "$0.3", "Cost of a success": "$0.1",
    }.items()  # fmt: skip
    assert latest[1] == "tue/day"
    check(page, "runs")
    label = "document.querySelector('.filters input')"
    for text, count in (("model=large", 0), ("model=small", 2)):
        page.run(f"{label}.value = '{text}'; {label}.dispatchEvent(new Event('change'))")
        page.until(f"{CELLS}.length === {count}")
        assert page.run("decodeURIComponent(location.hash)") == f"#/runs?label={text}"
        assert ("No run has this label" in page.text("main")) == (count == 0)
    page.click("[aria-label=Runs] tbody a", "tue/day")
    page.until(f"{SEEDS} === '4,3,2,1'")
    facts = page.text(".facts")
    for text in (
        f"Configuration\n{client.runs.get('tue/day')['configuration_digest'][:12]}",
        "model\nsmall",
        "Completed\n3",
        "Failed\n1",
        "Tokens in / out\n400 / 40",
        "Cost of a success\n$0.1",
    ):
        assert text in facts, text
    costs = page.run("[...document.querySelectorAll('.rows td.c-cost')].map(e => e.innerText)")
    assert costs[1:] == ["$0.09", "$0.06", "$0.03"]
    assert page.run("document.title") == "tue/day · Rollouts · synth-pools"
    # A rollout that is added meanwhile is among them, also once it has ended.
    body: dict[str, Any] = {"mode": "sync", "seed": 9, "run": "tue/day", "env": {"reward": 1}}
    created = client.create_rollout(pool, body)
    page.until(f"{SEEDS} === '9,4,3,2,1'")
    page.until("document.querySelectorAll('.rows .completed').length === 4")
    page.click("nav a", "Plots")
    page.until("document.querySelectorAll('.plot canvas').length === 4")
    page.click("[aria-label='Figures'] a", "1")
    page.until(f"{SEEDS} === '4'")
    check(page, "a run")
    page.run(f"location.hash = '#/rollouts/{created['id']}'")
    page.click(".facts a", "tue/day")
    page.until(f"{SEEDS} === '9,4,3,2,1'")
    page.run("location.hash = '#/runs/nope'")
    page.until("document.querySelector('.refusal')?.innerText.includes('nope')")
    page.run("location.hash = '#/'")
    page.until(
        "[...document.querySelectorAll('[aria-label=Pools] td')].some(e => e.innerText === '$0.87')"
    )


def test_a_run_is_deleted_after_a_question(
    page: Page, client: ContainerPoolsClient, pool: str, is_free: threading.Event
) -> None:
    page.run("location.hash = '#/runs/monday'")
    page.click(".title button", "Delete")
    assert "final" in page.text("dialog p")
    page.press("Escape")
    page.until("!document.querySelector('dialog')")
    assert client.runs.get("monday")["rollouts"]["completed"] == 3
    is_free.clear()
    active = client.create_rollout(pool, {"seed": 9, "run": "monday", "env": {"reward": 1}})
    try:
        page.refusals += [409, 404]
        page.click(".title button", "Delete")
        page.click("dialog button", "Delete")
        page.until("document.querySelector('dialog .refusal')?.innerText.includes('running: 1')")
    finally:
        is_free.set()
    client.rollouts.wait(pool, active["id"])
    page.click("dialog button", "Delete")
    page.until(f"{CELLS}.map(cells => cells[1]).join() === 'tue/day'")
    with pytest.raises(NotFoundError):
        client.runs.get("monday")


def test_lists_have_the_filters_of_the_command_line(page: Page, pool: str) -> None:
    def set_field(label: str, text: str) -> None:
        field = (
            "[...document.querySelectorAll('.filters label')]"
            f".find(e => e.textContent.startsWith('{label}')).querySelector('input')"
        )
        page.run(
            f"{field}.value = {json.dumps(text)};"
            f"{field}.dispatchEvent(new Event('change', {{bubbles: true}}))"
        )

    page.run(f"location.hash = '#/pools/{pool}'")
    page.until(f"{SEEDS} === '4,3,2,1,4,3,2,1'")
    page.click("summary", "Filters")
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M")
    for label, text, name, expected in (
        ("Label", "model=small", "label", "1,1"),
        ("Task", "hard", "task_id", "4,3,4,3"),
        ("Seed", "3", "seed", "3,3"),
        ("Reward at least", "0.5", "min_reward", "3,2,3,2"),
        ("Reward at most", "0.25", "max_reward", "1,1"),
        ("From", tomorrow, "created_after", ""),
        ("Before", tomorrow, "created_before", "4,3,2,1,4,3,2,1"),
    ):
        set_field(label, text)
        page.until(f"{SEEDS} === '{expected}'")
        page.until(f"location.hash.includes('{name}=')")
        set_field(label, "")
        page.until(f"{SEEDS} === '4,3,2,1,4,3,2,1'")
        page.until("!location.hash.includes('=')")
    # A text that is no label changes nothing. Filters together narrow a list.
    set_field("Label", "model")
    set_field("Task", "easy")
    page.until(f"{SEEDS} === '2,1,2,1'")
    set_field("Label", "model=large")
    page.until(f"{SEEDS} === '2,2'")
    page.click("th button", "Cost")
    check(page, "filters")
    address = page.run("location.href")
    assert address.endswith("?label=model%3Dlarge&task_id=easy&sort=-cost")
    page.open("about:blank")
    page.open(address)
    page.until(f"{SEEDS} === '2,2'")
    page.run("location.hash = '#/rollouts?seed=1&max_reward=0.1'")
    page.until(f"{SEEDS} === '1'")
    page.screen(390, 844, phone=True)
    page.until("document.documentElement.scrollWidth <= 390")


def test_a_rollout_that_ends_while_it_is_shown_has_its_dollars(
    page: Page, client: ContainerPoolsClient, pool: str, is_free: threading.Event
) -> None:
    page.run(f"location.hash = '#/pools/{pool}'")
    page.until(f"{SEEDS} === '4,3,2,1,4,3,2,1'")
    page.until("document.querySelector('.facts')?.innerText.includes('live')")
    is_free.clear()
    try:
        client.create_rollout(pool, {"seed": 7, "env": {"reward": 1}})
        # Its seed is in no event: the page has read it meanwhile.
        page.until(f"{SEEDS} === '7,4,3,2,1,4,3,2,1'")
    finally:
        is_free.set()
    page.until("document.querySelector('.rows td.c-cost')?.innerText === '$0.21'")
