"""The live page in a real browser, brought to a backend elsewhere and to a journal alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from synth_pools.cli.local.page_server import PageServer
from synth_pools.local import LocalBackend
from tests.support.browser import Page
from tests.support.containers import Seen, http, odd_container

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

IDS = "document.querySelectorAll('.rows td.c-id')"


@pytest.fixture
def journal(backend: LocalBackend, tmp_path: Path) -> Path:
    path = tmp_path / "run.jsonl"
    requests: list[dict[str, Any]] = [{"seed": s, "env": {"fail": s == 3}} for s in range(5)]
    with backend.client() as client:
        client.create_pool({"pool_id": "p", "name": "p"})
        assert len(list(client.rollouts.run_many("p", requests, journal=path))) == 5
    return path


def test_a_journal_opens_at_its_plots_and_nothing_can_be_done_to_it(
    browser: Page, journal: Path
) -> None:
    browser.complaints.clear()
    with PageServer.for_journal(journal) as server:
        browser.open(server.login_url())
        browser.until("document.querySelectorAll('.plot canvas').length === 4")
        assert browser.run("document.title") == "run.jsonl · Plots · synth-pools"
        assert "container_failed" in browser.text("main")
        tabs = "[...document.querySelectorAll('nav a')].map(e => e.innerText).join()"
        assert browser.run(tabs) == "Plots,Rollouts,Groups"
        # A count leads to its rollouts.
        browser.click("[aria-label=Figures] td:nth-child(4) a", "1")
        browser.until(f"{IDS}.length === 1")
        browser.click("nav a", "Groups")
        browser.until("document.querySelector('.empty')?.innerText.startsWith('No request')")
        browser.click("nav a", "Rollouts")
        browser.until(f"{IDS}.length === 1")
        assert browser.run("document.querySelectorAll('.title button').length") == 0
        assert "run.jsonl" in browser.text(".bar")
        browser.click(".rows td.c-id a")
        assert '"seed": 3' in browser.text(".code pre")
        verbs = "[...document.querySelectorAll('.buttons button')].map(e => e.innerText).join()"
        assert browser.run(verbs) == "Previous failed,Next failed"
        assert browser.run("document.querySelectorAll('.facts a').length") == 0
        browser.open("about:blank")
    # It asks for nothing that a journal does not have.
    assert browser.complaints == []


def test_a_backend_elsewhere_is_live(browser: Page, backend: LocalBackend, journal: Path) -> None:
    assert journal.exists()
    with PageServer.for_backend(backend.url, backend.api_key) as server, backend.client() as client:
        browser.open(server.login_url())
        browser.run("location.hash = '#/pools/p'")
        browser.until(f"{IDS}.length === 5")
        browser.until("document.querySelector('.facts')?.innerText.includes('live')")
        assert backend.url in browser.text(".bar")
        created = client.create_rollout("p", {"mode": "sync"})
        browser.until(f"{IDS}.length === 6")
        browser.run(f"location.hash = '#/rollouts/{created['id']}'")
        browser.until("document.querySelectorAll('.events li').length > 3")
        browser.open("about:blank")


def test_a_service_that_says_little_is_shown(browser: Page) -> None:
    rollouts = [
        {"rollout_id": f"r{n}", "pool_id": "x", "state": state, "error": error, "score": 1}
        for n, (state, error) in enumerate(
            [("failed", "boom"), ("succeeded", None), ("failed", "")]
        )
    ]
    documents = {
        "/v1/pools": {"pools": [{"id": "x"}]},
        "/v1/pools/x": {"id": "x"},
        "/v1/pools/x/rollouts": {"rollouts": rollouts},
        "/v1/rollouts/r2": rollouts[2],
        "/v1/rollouts/r0": rollouts[0],
    }

    def answer(request: Seen) -> bytes:
        document = documents.get(request.path.partition("?")[0])
        return http(404, {"detail": "no"}) if document is None else http(200, document)

    browser.complaints.clear()
    with odd_container(answer) as service, PageServer.for_backend(service.url, "key") as server:
        browser.open(server.login_url())
        # It is not said to be the echo target.
        browser.until(
            "document.querySelector('[aria-label=Pools] td:last-child')?.innerText === '\u2013'"
        )
        browser.click("[aria-label=Pools] a", "x")
        browser.until(f"{IDS}.length === 3")
        browser.run("location.hash = '#/rollouts/r2'")
        assert browser.text("[aria-label=request]") == "{}"
        browser.click(".buttons button", "Previous failed")
        assert "boom" in browser.text(".failure")
        browser.open("about:blank")
    assert [text for text in browser.complaints if "status of 404" not in text] == []
