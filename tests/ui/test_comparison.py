"""Comparison of two runs on the live page, paired by task and seed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

import synth_pools
from synth_pools import ContainerPoolsClient
from synth_pools.container import Container, Result, Rollout
from synth_pools.local import LocalBackend
from tests.support.axe import check
from tests.support.backend_server import KEY, Server
from tests.support.browser import Page

NONE = "\u2013"
BOTH = '"Both sides"'
SECTION = "document.querySelector('main section')?.innerText ?? ''"


@pytest.fixture
def client(backend: LocalBackend) -> Iterator[ContainerPoolsClient]:
    with backend.client() as client:
        yield client


def rows_of(label: str) -> str:
    """Return an expression for the cells of each row of a table."""
    return (
        f"[...document.querySelectorAll('[aria-label={label}] tbody tr')]"
        ".map(row => [...row.cells].map(e => e.innerText.trim()))"
    )


@pytest.fixture
def pool(client: ContainerPoolsClient) -> Iterator[str]:
    """Pool with the runs `monday` of the seeds 1 to 4, and `tuesday` of the seeds 2 to 5."""
    container = Container("player")

    @container.rollout
    def play(rollout: Rollout) -> Result:
        rollout.step("agent", f"This is {rollout.env['run']}.")
        if rollout.env["reward"] is None:
            raise ValueError("the model is silent")
        return Result(reward=rollout.env["reward"])

    rewards: dict[str, dict[int, float | None]] = {
        "monday": {1: 0.5, 2: 0.5, 3: 0.5, 4: 0.25},
        "tuesday": {2: 1.0, 3: None, 4: 0.25, 5: 1.0},
    }
    with container.running() as url:
        pool = str(client.create_pool({"pool_id": "pairs", "container_url": url})["id"])
        for run, by_seed in rewards.items():
            for seed, reward in by_seed.items():
                env = {"reward": reward, "run": run}
                body: dict[str, Any] = {"mode": "sync", "seed": seed, "run": run, "env": env}
                client.create_rollout(pool, body)
        yield pool


@pytest.mark.browser
@pytest.mark.xdist_group("browser")
def test_two_runs_are_paired_with_links_to_both_rollouts(
    page: Page, client: ContainerPoolsClient, pool: str
) -> None:
    page.click("nav a", "Runs")
    page.click("input[type=checkbox][aria-label='Compare tuesday']")
    page.click("input[type=checkbox][aria-label='Compare monday']")
    page.click("button", "Compare 2 of 2")
    page.until(f"({SECTION}).includes('sign test')")
    # The earlier run is the first.
    assert page.run("location.hash") == "#/compare?run1=monday&run2=tuesday"
    assert page.run(rows_of("Better")) == [[NONE, "2", "0.5", "1", "+0.5", "Side by side"]]
    assert page.run(rows_of("Worse")) == [[NONE, "3", "0.5", "failed 0", "-0.5", "Side by side"]]
    assert page.run(rows_of('"Not paired"')) == [["New", NONE, "5"], ["Missing", NONE, "1"]]
    assert page.run(rows_of("Failed")) == [["2: tuesday", NONE, "3"]]
    text = page.run(SECTION)
    assert "Of 3 pairs 1 better, 1 worse, 1 equal" in text
    assert "Rollouts that failed or have no reward count as 0." in text
    check(page, "a comparison")
    page.click("label", "Leave failures out")
    page.until(f"({SECTION}).includes('Of 2 pairs 1 better, 0 worse, 1 equal')")
    assert page.run("location.hash").endswith("&failures=leave-out")
    page.click("[aria-label=Failed] td:last-child a")
    page.until("document.querySelector('main').innerText.includes('1 of 4 rollouts')")
    assert page.run("location.hash").startswith("#/runs/tuesday/rollouts?text=3")
    page.run("history.go(-2)")
    page.click("[aria-label=Worse] td:last-child a")
    page.until("document.querySelectorAll('.steps > li').length === 2")
    assert page.run("[...document.querySelectorAll('.steps pre')].map(e => e.innerText)") == [
        "This is monday.",
        "This is tuesday.",
    ]
    check(page, "a pair")
    page.screen(390, 844, phone=True)
    page.until("document.documentElement.scrollWidth <= 390")


@pytest.mark.browser
@pytest.mark.xdist_group("browser")
def test_runs_of_other_tasks_are_refused_unless_told(
    page: Page, client: ContainerPoolsClient
) -> None:
    tasks = [{"task_id": "easy"}, {"task_id": "hard"}]
    client.create_pool({"pool_id": "t", "tasks": tasks})
    for run, names in (("a", ("easy",)), ("b", ("easy", "hard"))):
        for task in names:
            body: dict[str, Any] = {"mode": "sync", "seed": 1, "run": run, "task_id": task}
            client.create_rollout("t", body)
    page.run("location.hash = '#/compare?run1=a&run2=b'")
    page.until(f"({SECTION}).includes('not of the same tasks')")
    assert page.run(f"({SECTION}).includes('\"Common tasks alone\" on the page')")
    # A box stands beside its text, no higher than it.
    sizes = "[e.clientHeight, ...[...e.children].map(c => c.clientHeight)]"
    heights = page.run(
        f"[...document.querySelectorAll('section .tools label')].map(e => Math.max(...{sizes}))"
    )
    assert len(heights) == 2
    assert max(heights) < 28
    page.click("label", "Common tasks alone")
    page.until(f"({SECTION}).includes('Of 1 pairs')")
    assert page.run("location.hash") == "#/compare?run1=a&run2=b&tasks=other"


@pytest.mark.browser
@pytest.mark.xdist_group("browser")
def test_plots_are_of_the_runs_that_are_chosen(page: Page, client: ContainerPoolsClient) -> None:
    client.create_pool({"pool_id": "p"})
    for run in "abc":
        for seed in range(3):
            body: dict[str, Any] = {"mode": "sync", "run": run, "seed": seed}
            client.create_rollout("p", {**body, "env": {"reward": seed / 2, "fail": run == "c"}})
    legends = "[...document.querySelectorAll('.u-legend')].map(e => e.innerText)"
    for run in ("b", "c"):
        page.run(f"location.hash = '#/compare?run1=a&run2={run}'")
        page.until(f"({SECTION}).includes('2: {run} against')")
        # Without a reward of c there is nothing that would draw them once more.
        page.until(f"{legends}.length === 3 && {legends}.every(e => e.includes('2: {run}'))", 10)


@pytest.mark.browser
@pytest.mark.xdist_group("browser")
def test_runs_have_their_pass_rates_tokens_dollars_and_time(
    page: Page, client: ContainerPoolsClient
) -> None:
    container = Container("paid")

    @container.rollout
    def play(rollout: Rollout) -> Result:
        rollout.usage(input_tokens=100, output_tokens=10, cost_usd=0.25)
        if rollout.env["reward"] is None:
            raise ValueError("the model is silent")
        return Result(reward=rollout.env["reward"])

    def run(pool: str, name: str, rewards: dict[int, list[float | None]]) -> None:
        for seed, of_seed in rewards.items():
            for reward in of_seed:
                env = {"reward": reward}
                body: dict[str, Any] = {"mode": "sync", "seed": seed, "run": name, "env": env}
                client.create_rollout(pool, body)

    with container.running() as url:
        for pool in ("repeated", "further"):
            client.create_pool({"pool_id": pool, "container_url": url})
        # Failed rollouts have a cost, too.
        run("repeated", "base", {1: [1.0, 0.0], 2: [1.0, 1.0]})
        run("repeated", "later", {1: [1.0, None], 2: [None, 0.5]})
        page.run("location.hash = '#/compare?run1=base&run2=later'")
        page.until(f"{rows_of(BOTH)}.length === 2")
        base, later = page.run(rows_of(BOTH))
        assert base[:4] + base[5:] == ["1: base", "4", "0", "0.75", "440", "$1"]
        assert later[:4] + later[5:] == ["2: later", "4", "2", "0.375", "440", "$1"]
        assert base[4].endswith(" s")
        assert page.run(rows_of('"Pass rates"')) == [
            ["1: base", "1", "0.75", "0.75"],
            ["1: base", "2", "1", "0.5"],
            ["2: later", "1", "0.25", "0.25"],
            ["2: later", "2", "0.5", "0"],
        ]
        check(page, "figures of runs")
        page.screen(390, 844, phone=True)
        page.until("document.documentElement.scrollWidth <= 390")
        # A pool has sums, part of a run has not.
        run("further", "later", {1: [0.5]})
        run("further", "once", {1: [1.0]})
    page.run("location.hash = '#/compare?pool1=further&run2=once'")
    page.until(f"{rows_of(BOTH)}[1]?.[0] === '2: once'")
    further, once = page.run(rows_of(BOTH))
    assert (further[0], further[5:], once[5:]) == ("1: further", ["220", "$0.5"], ["110", "$0.25"])
    page.run("location.hash = '#/compare?pool1=further&run1=later&pool2=further&run2=once'")
    page.until(f"{rows_of(BOTH)}[0]?.[0] === '1: further later'")
    first, later = page.run(rows_of(BOTH))
    assert (first[5:], later[5:]) == ([NONE, NONE], ["110", "$0.25"])
    # Nothing is repeated.
    assert page.run(rows_of('"Pass rates"')) == []


@pytest.mark.browser
@pytest.mark.xdist_group("browser")
def test_requests_without_seeds_are_paired_by_their_env(
    page: Page, client: ContainerPoolsClient
) -> None:
    client.create_pool({"pool_id": "u"})
    # The second run plays the same in another order.
    for run, cases in (("a", (0, 1, 1)), ("b", (1, 1, 0))):
        for case in cases:
            env = {"case": case, "reward": case / 2}
            client.create_rollout("u", {"mode": "sync", "run": run, "env": env})
    page.run("location.hash = '#/compare?run1=a&run2=b'")
    page.until(f"({SECTION}).includes('Of 2 pairs 0 better, 0 worse, 2 equal')")


COLUMNS = ["rollout_id", "task_id", "seed", "status", "reward"]
FIRST: list[list[Any]] = [["a", None, 1, "completed", 0.5], ["b", None, 2, "failed", None]]
LATER: list[list[Any]] = [["c", None, 1, "completed", 1.0], ["d", None, 2, "completed", 0.5]]


def request_of(**changes: Any) -> dict[str, Any]:
    runs = {"names": ["first", "later"], "columns": COLUMNS, "runs": [FIRST, LATER]}
    return {**runs, "failures": "zero", "other_tasks": False, **changes}


def log_in(http: httpx.Client, key: str) -> dict[str, str]:
    """Log in to the page, and return the header of its requests."""
    answer = http.post("/ui/session", json={"key": key})
    assert answer.status_code == 200
    return {"x-synth-pools-page": answer.json()["token"]}


def test_a_comparison_of_the_page_is_that_of_the_package(server: Server) -> None:
    with httpx.Client(base_url=server.url, timeout=60) as http:
        headers = log_in(http, KEY)
        answer = http.post("/ui/comparison", json=request_of(), headers=headers)
    assert answer.status_code == 200
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    document = answer.json()
    [*sentences] = document.pop("sentences")
    rows = ([dict(zip(COLUMNS, row, strict=True)) for row in run] for run in (FIRST, LATER))
    expected = synth_pools.compare(*rows, names=["first", "later"])
    assert document == json.loads(json.dumps(expected.to_dict()))
    assert sentences[0].startswith("later against first: +0.5 ")


def test_a_comparison_takes_a_session_and_sense(server: Server) -> None:
    with httpx.Client(base_url=server.url, timeout=60) as http:
        assert http.post("/ui/comparison", json=request_of()).status_code == 401
        headers = log_in(http, KEY)
        # The cookie alone, which another page could have sent, is not enough.
        assert http.post("/ui/comparison", json=request_of()).status_code == 401
        odd: list[Any] = [
            [], {}, None, request_of(runs=[FIRST]), request_of(runs=[FIRST, [1]]),
            request_of(columns=["a"]), request_of(names=3),
        ]  # fmt: skip
        for document in odd:
            answer = http.post("/ui/comparison", json=document, headers=headers)
            assert answer.status_code == 422, document
            assert answer.json()["error"]["message"]
        for changes, problem in (
            ({"runs": [[], []]}, "no rollout of it has ended"),
            ({"failures": "one"}, "neither 'zero' nor 'leave-out'"),
            ({"names": ["first"]}, "2 runs and 1 names"),
            ({"runs": [[[]] * 50_000, [[]] * 50_001]}, "at most 100,000 rollouts"),
        ):
            answer = http.post("/ui/comparison", json=request_of(**changes), headers=headers)
            assert (answer.status_code, problem in answer.json()["problem"]) == (200, True)
        for content in (b"", b"{", b"\xff", b"[" * 100_000):
            answer = http.post("/ui/comparison", content=content, headers=headers)
            assert answer.status_code == 422, content[:10]
        assert http.get("/ui/comparison", headers=headers).status_code == 404
