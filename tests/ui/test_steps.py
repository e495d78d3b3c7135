"""A rollout step by step on the live page: while it runs, and as its trajectory has it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from synth_pools import ContainerPoolsClient
from synth_pools.container import Container, Result, Rollout
from synth_pools.container.atif import step_event
from synth_pools.local import LocalBackend
from tests.support.axe import check
from tests.support.browser import Page

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

SHOWN = "[...document.querySelectorAll('.steps > li')].map(e => e.innerText)"
EVIL = "<img src=x onerror=\"document.title='broken'\">"
ROWS = [{"city": "Köln", "people": 1_000_000}, {"city": EVIL, "people": 7, "old": True}]
LONG = "\n".join(f"line {number}" for number in range(500)) + "\nThe needle is here."
MANY = 130
HOSTILE, NESTED = 9, 10


def trajectory(name: str, message: str) -> dict[str, Any]:
    steps = [{"step_id": 1, "source": "agent", "message": message}]
    return {"schema_version": "ATIF-v1.8", "agent": {"name": name, "version": "1"}, "steps": steps}


@pytest.fixture
def client(backend: LocalBackend) -> Iterator[ContainerPoolsClient]:
    with backend.client() as client:
        yield client


@pytest.fixture
def watched() -> threading.Event:
    """Set once the page shows the first steps."""
    return threading.Event()


@pytest.fixture
def pool(client: ContainerPoolsClient, watched: threading.Event) -> Iterator[str]:
    container = Container("player")

    @container.rollout
    def play(rollout: Rollout) -> Result:
        if rollout.seed == HOSTILE:
            odd: dict[str, Any] = {"source": None, "message": [None, 3], "model_name": {"a": 1}}
            rollout.event({"type": "step", "step_id": "first"})
            rollout.event({"type": "step", "step_id": 1, "observation": {"results": 5}, **odd})
            rollout.event({"type": "step", "step_id": 2, "tool_calls": [None], "extra": 7})
            rollout.event({"type": "step", "step_id": 3, "observation": [None, "fine"], **odd})
            return Result(reward=1)
        if rollout.seed == NESTED:
            inner = {**trajectory("inner", "Nothing here."), "trajectory_id": "t1"}
            document = {
                **trajectory("outer", "I ask another one."),
                "subagent_trajectories": [inner],
            }
            return Result(reward=1, trajectory=document)
        rollout.step("user", "Which cities are there?")
        call: dict[str, Any] = {"id": "c1", "function": "query", "arguments": {"table": "cities"}}
        rollout.step(
            "agent",
            "I look them up.",
            reasoning_content="A table is best.",
            model_name="small",
            tool_calls=[call],
            observation=[{"source_call_id": "c1", "content": json.dumps(ROWS)}],
            metrics={"prompt_tokens": 1200, "completion_tokens": 34, "cost_usd": 0.0125},
            extra={"seconds": 2.5},
        )
        answer = {"role": "tool", "tool_call_id": "c1", "content": "It rains there."}
        observed = rollout.trajectory.add_message(answer)
        assert observed is not None
        rollout.event(step_event(observed))
        assert watched.wait(60)
        rollout.step("agent", LONG, reward=0.5)
        for number in range(MANY):
            rollout.step("user", f"Again {number}.")
        rollout.step("agent", "", extra={"error": {"message": "overloaded", "status": 529}})
        files = "\n".join(json.dumps(row) for row in ROWS)
        rollout.artifact("cities.jsonl", files, content_type="application/jsonl")
        return Result(reward=1)

    with container.running() as url:
        yield str(client.create_pool({"pool_id": "played", "container_url": url})["id"])


def test_steps_are_there_while_it_runs_and_whole_at_its_end(
    page: Page, client: ContainerPoolsClient, pool: str, watched: threading.Event
) -> None:
    created = client.create_rollout(pool, {"seed": 1})
    page.run(f"location.hash = '#/rollouts/{created['id']}'")
    try:
        page.until(f"{SHOWN}.join().includes('It rains there.')")
        assert page.run(f"{SHOWN}.length") == 2
        assert page.text("h1 .badge") == "running"
        first, second = page.run(SHOWN)
        assert "1 user" in first
        assert "Which cities are there?" in first
        for text in (
            "2 agent",
            "small · 1,200 + 34 tokens",
            "$0.0125",
            'query({"table": "cities"})',
            "It rains there.",
        ):
            assert text in second, text
    finally:
        watched.set()
    page.until("document.querySelector('h1 .badge')?.innerText === 'completed'")
    total = MANY + 4
    page.until(f"document.querySelector('h2 small')?.innerText === '{total}'")
    page.until(f"{SHOWN}.length === 100")
    second = page.run(SHOWN)[1]
    # The seconds are in the trajectory alone.
    page.until(f"{SHOWN}[1].includes('2.5 s')")
    assert "A table is best." in second
    cells = page.run("[...document.querySelectorAll('.steps td')].map(e => e.textContent)")
    assert cells == ["Köln", "1000000", "", EVIL, "7", "true"]
    heads = page.run("[...document.querySelectorAll('.steps th')].map(e => e.textContent)")
    assert heads == ["city", "people", "old"]
    # Long text is folded.
    assert "reward 0.5" in page.run(SHOWN)[2]
    assert "line 499" not in page.run(SHOWN)[2]
    check(page, "steps")
    page.scheme("dark")
    check(page, "steps, dark")
    page.screen(390, 844, phone=True)
    assert page.run("document.documentElement.scrollWidth") <= 390
    check(page, "steps, phone")


def test_steps_are_searched_and_errors_are_jumped_to(
    page: Page, client: ContainerPoolsClient, pool: str, watched: threading.Event
) -> None:
    watched.set()
    body: dict[str, Any] = {"mode": "sync", "seed": 1}
    created = client.create_rollout(pool, body)
    page.run(f"location.hash = '#/rollouts/{created['id']}'")
    page.until(f"{SHOWN}.length === 100")
    page.fill("[aria-label='Search the steps']", "NEEDLE")
    page.until(f"{SHOWN}.length === 1")
    assert page.run("document.querySelector('.steps mark').textContent") == "needle"
    assert "The needle is here." in page.run(SHOWN)[0]
    assert page.text(".tools [role=status]") == (f"1 of {MANY + 4} steps")
    page.fill("[aria-label='Search the steps']", "")
    page.until(f"{SHOWN}.length === 100")
    # The error is behind the steps that are drawn at first.
    page.click("button", "Next error")
    page.until(f"document.activeElement.innerText.startsWith('{MANY + 4} agent')")
    assert "overloaded" in page.run("document.activeElement.innerText")
    page.until(f"{SHOWN}.length === {MANY + 4}")
    # Lines of JSON are a table, too.
    page.run(
        "[...document.querySelectorAll('[aria-label=Artifacts] tbody tr')]"
        ".find((row) => row.textContent.startsWith('cities')).querySelector('button').click()"
    )
    page.until("document.querySelectorAll('[aria-label=Content] tbody tr').length === 2")
    assert page.run("document.querySelectorAll('main img').length") == 0


def test_events_that_only_look_like_steps_break_nothing(
    page: Page, client: ContainerPoolsClient, pool: str
) -> None:
    body: dict[str, Any] = {"mode": "sync", "seed": HOSTILE}
    created = client.create_rollout(pool, body)
    page.run(f"location.hash = '#/rollouts/{created['id']}'")
    page.until(
        "document.querySelector('.events li:last-child b')?.innerText === 'rollout.completed'"
    )
    page.until(f"{SHOWN}.length === 3")
    assert "fine" in page.run(SHOWN)[2]


def test_the_steps_of_an_agent_that_was_called_unfold(
    page: Page, client: ContainerPoolsClient, pool: str
) -> None:
    body: dict[str, Any] = {"mode": "sync", "seed": NESTED}
    created = client.create_rollout(pool, body)
    page.run(f"location.hash = '#/rollouts/{created['id']}'")
    page.until(f"{SHOWN}.length === 1")
    page.click("summary", "agent 1 of ")
    page.until(f"{SHOWN}.length === 2")
    assert "Nothing here." in page.run(SHOWN)[1]
    check(page, "agents")
