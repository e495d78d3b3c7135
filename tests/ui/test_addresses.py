"""Addresses of the page: what is chosen is in them, and there again after Back and a reload."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from synth_pools import ContainerPoolsClient
from synth_pools.local import LocalBackend
from tests.support.browser import Page

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

SEEDS = "[...document.querySelectorAll('.rows td.c-seed')].map(e => e.innerText).join()"
HASH = "decodeURIComponent(location.hash)"


@pytest.fixture
def client(backend: LocalBackend) -> Iterator[ContainerPoolsClient]:
    with backend.client() as client:
        yield client


@pytest.fixture
def pool(client: ContainerPoolsClient) -> str:
    """A pool with six rollouts of two runs, two of which fail, and two more of one request."""
    pool = str(
        client.create_pool({"pool_id": "p", "name": "The pool", "tasks": [{"task_id": "t7"}]})["id"]
    )
    requests: list[dict[str, Any]] = [
        {"seed": 7, "metadata": {"run": "first"}},
        {"seed": 17, "metadata": {"run": "first"}, "env": {"fail": True}},
        {"seed": 70, "metadata": {"run": "first"}, "task_id": "t7"},
        {"seed": 71, "metadata": {"run": "second"}, "env": {"fail": True}},
        {"seed": 72, "metadata": {"run": "second"}, "env": {"reward": 0.25}},
        {"seed": 7, "metadata": {"run": "second"}},
    ]
    for request in requests:
        client.create_rollout(pool, {"mode": "sync", **request})
    return pool


def go(page: Page, place: str) -> None:
    page.run(f"location.hash = {json.dumps(place)}")


def test_a_number_is_a_seed_and_text_begins_an_id_a_task_or_a_run(
    page: Page, client: ContainerPoolsClient, pool: str
) -> None:
    go(page, f"#/pools/{pool}")
    page.until(f"{SEEDS} === '7,72,71,70,17,7'")
    newest = client.list_rollouts(pool)["items"][1]["id"]
    for text, seeds in (
        ("7", "7,7"),
        ("71", "71"),
        ("-7", ""),
        ("t7", "70"),
        ("T", "70"),
        ("sec", "7,72,71"),
        ("econd", ""),
        (newest, "72"),
        (newest[:-1], "72"),
        (newest.removeprefix("rollout_")[:-1], "72"),
    ):
        page.fill("input[type=search]", text)
        page.until(f"{SEEDS} === '{seeds}'")


def test_filter_search_and_sorting_are_in_the_link_and_there_after_back(
    page: Page, pool: str
) -> None:
    go(page, f"#/pools/{pool}")
    page.fill("select[aria-label='All runs']", "second")
    page.fill("select[aria-label='All states']", "completed")
    page.click("th button", "Reward")
    page.click("th button", "Reward")
    page.until(f"{SEEDS} === '72,7'")
    page.fill("input[type=search]", "7")
    page.until(f"{SEEDS} === '7'")
    address = page.run("location.href")
    assert page.run(HASH) == "#/pools/p?run=second&status=completed&sort=reward&text=7"
    page.click(".rows td.c-id a")
    page.until("document.querySelector('h1')?.innerText.startsWith('rollout_')")
    page.run("history.back()")
    for _ in range(2):
        page.until(f"{SEEDS} === '7'")
        assert page.run("location.href") == address
        assert page.run("document.querySelector('input[type=search]').value") == "7"
        assert (
            page.run("document.querySelector('[aria-label=\"All states\"]').value") == "completed"
        )
        assert page.run("document.querySelector('th.c-reward').ariaSort") == "ascending"
        # The second time after a reload.
        page.open("about:blank")
        page.open(address)
    page.click("nav a", "Plots")
    page.run("history.back()")
    page.until(f"{SEEDS} === '7'")


def test_the_place_in_a_long_table_is_in_the_link(
    page: Page, client: ContainerPoolsClient, pool: str
) -> None:
    client.create_rollout_batch(
        {"pool_id": pool, "rollouts": [{"seed": 100 + n} for n in range(400)]}
    )
    go(page, f"#/pools/{pool}")
    page.until("document.querySelectorAll('.rows tr').length > 20")
    page.until("document.querySelector('.tools [role=status]')?.innerText === '406 rollouts'")
    page.run("document.querySelector('.rows').scrollTop = 34 * 200")
    page.until(f"{HASH}.endsWith('?row=200')")
    page.click(".rows tr[aria-rowindex='204'] td.c-id a")
    page.until("document.querySelector('h1')?.innerText.startsWith('rollout_')")
    page.run("history.back()")
    page.until("document.querySelector('.rows')?.scrollTop === 34 * 200")
    page.until(f"{SEEDS}.split(',').includes('298')")
    # Another filter begins at its first row.
    page.fill("select[aria-label='All states']", "failed")
    page.until(f"{SEEDS} === '71,17'")
    page.until(f"{HASH} === '#/pools/p?status=failed'")


def test_counts_codes_and_groups_lead_to_their_rollouts(page: Page, pool: str) -> None:
    go(page, "#/")
    page.click("[aria-label=Pools] td:nth-child(6) a", "2")
    page.until(f"{SEEDS} === '71,17'")
    page.click(".facts a", "4")
    page.until(f"{SEEDS} === '7,72,70,7'")
    go(page, f"#/pools/{pool}/plots")
    for text in ("container_failed", "2"):
        page.click("[aria-label='Failures by code'] a", text)
        page.until(f"{SEEDS} === '71,17'")
        page.run("history.back()")
    page.click("[aria-label='Failures by code'] a", "2")
    page.until(f"{SEEDS} === '71,17'")
    assert page.run(HASH) == "#/pools/p/rollouts?code=container_failed"
    go(page, f"#/pools/{pool}/groups")
    page.click("[aria-label=Groups] a", "seed 7")
    page.until(f"{SEEDS} === '7,7'")
    page.click(".tools button", "Same request as")
    page.until(f"{SEEDS} === '7,72,71,70,17,7'")
    go(page, "#/compare?pool1=p&run1=first&pool2=p&run2=second")
    page.click("[aria-label=Figures] tr:last-child td:nth-child(4) a", "1")
    page.until(f"{SEEDS} === '71'")


def test_the_failed_rollouts_of_a_pool_are_looked_at_one_after_the_other(
    page: Page, client: ContainerPoolsClient, pool: str
) -> None:
    ids = {item["request"]["seed"]: item["id"] for item in client.list_rollouts(pool)["items"]}
    # A failure of another pool is not among them.
    client.create_rollout(
        client.create_pool({"name": "other"})["id"], {"mode": "sync", "env": {"fail": True}}
    )
    go(page, f"#/rollouts/{ids[72]}")
    for verb, seed in (("Next", 71), ("Next", 17), ("Previous", 71)):
        page.click(".buttons button", f"{verb} failed")
        page.until(f"document.querySelector('h1')?.innerText.startsWith('{ids[seed]}')")
    page.until("!!document.querySelector('.facts')")
    page.click(".buttons button", "Previous failed")
    assert "No rollout before this one failed" in page.text(".refusal")


def test_titles_name_what_is_shown(page: Page, client: ContainerPoolsClient, pool: str) -> None:
    failed = client.list_rollouts(pool, state="failed")["items"][0]["id"]
    for place, title in (
        ("#/", "Pools"),
        (f"#/pools/{pool}", "The pool · Rollouts"),
        (f"#/pools/{pool}/plots", "The pool · Plots"),
        (f"#/rollouts/{failed}", f"failed {failed} · p"),
        ("#/rollouts", "Rollouts"),
        ("#/compare", "Compare"),
        ("#/compare?pool1=p&run1=first&pool2=p&run2=second", "p first and p second"),
        ("#/pools/nope", "nope · Rollouts"),
        ("#/nope", "No such page"),
        ("#/%", "No such page"),
    ):
        go(page, place)
        page.until(f"document.title === '{title} · synth-pools'")
    page.click(".bar button", "Log out")
    page.until("document.title === 'Log in · synth-pools'")


def test_an_address_that_leads_nowhere_says_so(page: Page) -> None:
    for place, text in (
        ("#/pools/nope", "There is no pool nope here."),
        ("#/pools/nope/output", "There is no pool nope here."),
        ("#/rollouts/nope", "Rollout 'nope' does not exist"),
        ("#/x", "Nothing has this address."),
    ):
        go(page, place)
        page.until(f"document.querySelector('.empty')?.innerText.startsWith({json.dumps(text)})")


def test_what_is_compared_is_in_the_link_and_stays(
    page: Page, client: ContainerPoolsClient, pool: str
) -> None:
    client.create_pool({"pool_id": "q", "name": "q"})
    client.create_rollout("q", {"mode": "sync", "env": {"reward": 0.5}})
    choices = "[...document.querySelectorAll('.tools select')].map(e => e.value).join()"
    go(page, "#/compare")
    # The second pool may be chosen first.
    page.until("document.querySelectorAll('.tools option').length > 6")
    page.fill("select[aria-label='Pool 2']", "p")
    page.until(f"{choices} === ',,p,'")
    page.until("document.querySelectorAll('[aria-label=\"Run 2\"] option').length === 3")
    page.fill("select[aria-label='Run 2']", "second")
    page.fill("select[aria-label='Pool 1']", "q")
    page.until(f"{choices} === 'q,,p,second'")
    figures = (
        "[...document.querySelectorAll('[aria-label=Figures] tbody tr')]"
        ".map(e => e.innerText.split('\t').slice(0, 3).join()).join(';')"
    )
    page.until(f"{figures} === '1: q,1,1;2: p second,3,2'")
    address = page.run("location.href")
    assert page.run(HASH) == "#/compare?pool1=q&pool2=p&run2=second"
    # Rollouts that arrive meanwhile leave the choice as it is.
    client.create_rollout("p", {"mode": "sync", "metadata": {"run": "second"}})
    page.until(f"{figures} === '1: q,1,1;2: p second,4,3'")
    assert page.run(choices) == "q,,p,second"
    page.open("about:blank")
    page.open(address)
    page.until(f"{figures} === '1: q,1,1;2: p second,4,3'")
    page.until(f"{choices} === 'q,,p,second'")
    # A run belongs to its pool.
    page.fill("select[aria-label='Pool 2']", "q")
    page.until(f"{choices} === 'q,,q,'")
    page.run("history.back()")
    page.until(f"{choices} === 'q,,p,second'")
    go(page, "#/compare/p/q")
    page.until(f"{choices} === 'p,,q,'")
