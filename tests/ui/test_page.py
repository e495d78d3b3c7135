"""The live page in a real browser: log-in, pools, rollouts, and actions on them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from synth_pools import ContainerPoolsClient
from synth_pools.backend.domain import clock
from synth_pools.local import LocalBackend
from tests.support.browser import Page
from tests.support.containers import Seen, http, odd_container

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

ROWS = "document.querySelectorAll('.rows tbody tr:not([aria-hidden])').length"


@pytest.fixture
def client(backend: LocalBackend) -> Iterator[ContainerPoolsClient]:
    with backend.client() as client:
        yield client


@pytest.fixture
def pool(client: ContainerPoolsClient) -> str:
    return str(client.create_pool({"pool_id": "first", "name": "The first"})["id"])


def go(page: Page, place: str) -> None:
    page.run(f"location.hash = {json.dumps(place)}")


def run(client: ContainerPoolsClient, pool: str, **request: Any) -> dict[str, Any]:
    body: dict[str, Any] = {"mode": "sync", **request}
    return client.create_rollout(pool, body)


def test_a_link_logs_in_and_is_gone_from_the_address(page: Page, backend: LocalBackend) -> None:
    assert page.run("location.href") == f"{backend.url}/ui/"
    assert "login" not in json.dumps(page.call("Page.getNavigationHistory")["entries"][-1]["url"])
    assert page.run("document.cookie") == ""
    assert backend.api_key not in page.run("JSON.stringify({...localStorage, ...sessionStorage})")
    page.open(f"{backend.url}/ui/")
    assert page.text("main h1") == "Pools"
    elsewhere = [url for url in page.requested if not url.startswith((backend.url, "about:"))]
    assert elsewhere == []


def test_pools_are_listed_by_name_and_id(
    page: Page, client: ContainerPoolsClient, pool: str
) -> None:
    client.create_pool({"pool_id": "nameless"})
    cells = "[...document.querySelectorAll('.wide tbody td:first-child')].map(one => one.innerText)"
    page.until(f"{cells}.length === 2")
    # An id is shown once, not also as a name.
    assert sorted(page.run(cells)) == [f"The first {pool}", "nameless"]


def test_a_key_logs_in_and_out(page: Page, backend: LocalBackend) -> None:
    page.click(".bar button", "Log out")
    page.refusals.append(401)
    page.fill("input[name=key]", "wrong")
    page.click("button", "Log in")
    assert "the key is wrong" in page.text(".refusal")
    page.fill("input[name=key]", backend.api_key)
    page.click("button", "Log in")
    page.until("document.querySelector('main h1')?.innerText === 'Pools'")


def test_a_pool_is_made_and_its_rollouts_are_watched(page: Page, backend: LocalBackend) -> None:
    page.until("document.querySelector('.empty')?.innerText.startsWith('No pools here')")
    page.click("button", "New pool")
    page.fill("dialog input[name=name]", "Made here")
    page.fill("dialog textarea", "no JSON")
    page.click("dialog button", "Create")
    assert "is no JSON" in page.text("dialog .refusal")
    page.fill("dialog textarea", '{"metadata": {"by": "hand"}}')
    page.click("dialog button", "Create")
    page.until("document.querySelector('main h1')?.innerText.startsWith('Made here')")
    page.click("button", "New rollouts")
    page.fill("dialog textarea", '{"env": {"delay": 0.2, "events": 2, "reward": 0.25}}')
    page.fill("dialog input[name=count]", "3")
    page.click("dialog button", "Start")
    page.until(f"{ROWS} === 3")
    page.until("document.querySelectorAll('.rows .completed').length === 3")
    page.until("document.querySelector('.rows td.c-reward')?.innerText === '0.25'")
    with backend.client() as client:
        [pool] = client.list_pools()["items"]
        assert pool["metadata"] == {"by": "hand"}
        rollouts = client.list_rollouts(pool["id"])["items"]
    assert sorted(rollout["request"]["seed"] for rollout in rollouts) == [0, 1, 2]


def in_shell(backend: LocalBackend, line: str) -> None:
    """Run a line that the page offers, as in a terminal."""
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    place = {"SYNTH_BACKEND_URL": backend.url, "SYNTH_API_KEY": backend.api_key}
    done = subprocess.run(
        ["/bin/sh", "-c", line],
        env={**os.environ, **place, "PATH": programs},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_rollout_is_followed_to_its_end(
    page: Page, backend: LocalBackend, client: ContainerPoolsClient, pool: str
) -> None:
    seed = 2**62 + 1
    created = client.create_rollout(
        pool, {"seed": seed, "env": {"delay": 1.5, "events": 6, "reward": 0.5, "text": "it's"}}
    )
    go(page, f"#/rollouts/{created['id']}")
    page.until("document.querySelectorAll('.events li').length > 2")
    page.until("document.querySelector('h1 .badge')?.innerText === 'completed'")
    events = list(client.rollouts.events(pool, created["id"]))
    page.until(f"document.querySelectorAll('.events li').length === {len(events)}")
    text = page.run("[...document.querySelectorAll('.events li b')].map(e => e.innerText)")
    assert text == [event["event"] for event in events]
    facts = page.text(".facts")
    assert "0.5" in facts
    # Larger than what a JavaScript number holds.
    assert str(seed) in facts
    lines = page.run("[...document.querySelectorAll('.code pre')].map(e => e.textContent)")
    assert json.loads(lines[0]) == created["request"]
    python = next(line for line in lines if line.startswith("client."))
    requested: list[Any] = []

    class Recorder:
        def create_rollout(self, *arguments: Any) -> None:
            requested.extend(arguments)

    # Our own page wrote it, about a request of this test.
    eval(python, {"client": Recorder()})
    assert requested == [pool, created["request"]]
    for beginning in ("curl ", "echo "):
        before = len(client.list_rollouts(pool)["items"])
        in_shell(backend, next(line for line in lines if line.startswith(beginning)))
        newest, *older = client.list_rollouts(pool)["items"]
        assert len(older) == before
        assert newest["request"] == created["request"]


# Breaks every request for an address, as long as told.
UNREACHABLE = """((url) => {
  const reach = fetch;
  window.broken = 0;
  window.isUnreachable = true;
  window.fetch = (...request) =>
    request[0] === url && window.isUnreachable
      ? (window.broken++, Promise.reject(new TypeError("Failed to fetch")))
      : reach(...request);
})"""


def test_the_end_of_a_rollout_is_read_until_there_is_an_answer(
    page: Page, client: ContainerPoolsClient, pool: str
) -> None:
    created = client.create_rollout(pool, {"env": {"delay": 300}})
    go(page, f"#/rollouts/{created['id']}")
    page.until("document.querySelector('h1 .badge')?.innerText === 'running'")
    page.until("document.querySelectorAll('.events li').length > 1")
    page.run(f"{UNREACHABLE}('/v1/rollouts/{created['id']}')")
    client.cancel_rollout(pool, created["id"])
    page.until("broken > 2")
    assert page.text(".offline")
    page.run("isUnreachable = false")
    page.until("document.querySelector('h1 .badge')?.innerText === 'cancelled'")
    page.until("!document.querySelector('.offline').innerText")
    assert page.run("document.querySelector('.refusal').innerText") == ""


def test_a_rollout_is_cancelled_once_that_is_confirmed(
    page: Page, client: ContainerPoolsClient, pool: str
) -> None:
    created = client.create_rollout(pool, {"env": {"delay": 300}})
    go(page, f"#/rollouts/{created['id']}")
    page.click("button", "Cancel")
    page.click("dialog button", "Back")
    page.until("!document.querySelector('dialog')")
    assert client.get_rollout(pool, created["id"])["status"] == "running"
    page.click("button", "Cancel")
    page.click("dialog button", "Cancel it")
    page.until("document.querySelector('h1 .badge')?.innerText === 'cancelled'")
    assert client.get_rollout(pool, created["id"])["status"] == "cancelled"
    page.click("button", "Replay")
    page.until("document.querySelector('.facts')?.innerText.includes('Replay of')")


def test_a_pool_is_paused_resumed_and_archived(
    page: Page, client: ContainerPoolsClient, pool: str
) -> None:
    go(page, f"#/pools/{pool}")
    page.click("button", "Pause")
    page.until("document.querySelector('h1 .badge')?.innerText === 'paused'")
    page.click("button", "Resume")
    page.until("document.querySelector('h1 .badge')?.innerText === 'active'")
    page.click("button", "Archive")
    assert "final" in page.text("dialog p")
    page.press("Escape")
    page.until("!document.querySelector('dialog')")
    assert client.get_pool(pool)["status"] == "active"
    page.click("button", "Archive")
    page.click("dialog button", "Archive")
    page.until("document.querySelector('h1 .badge')?.innerText === 'archived'")
    assert client.get_pool(pool)["status"] == "archived"


def test_rollouts_are_found_filtered_and_sorted(
    page: Page, client: ContainerPoolsClient, pool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed, reward, name in ((11, 0.5, "the first"), (12, 0.9, "The second"), (13, 0.1, "")):
        run(client, pool, seed=seed, env={"reward": reward}, metadata={"run": name})
    new_id = clock.new_id

    def id_that_ends_as_a_number(kind: str) -> str:
        return new_id(kind)[:-12] + "123456789012" if kind == "rollout" else new_id(kind)

    monkeypatch.setattr(clock, "new_id", id_that_ends_as_a_number)
    failed = run(client, pool, seed=14, env={"fail": True})
    go(page, f"#/pools/{pool}")
    page.until(f"{ROWS} === 4")
    seeds = "[...document.querySelectorAll('.rows td.c-seed')].map(e => e.innerText).join()"
    assert page.run(seeds) == "14,13,12,11"
    page.click("th button", "Reward")
    page.until(f"{seeds} === '12,11,13,14'")
    assert page.run("document.querySelector('th.c-reward').ariaSort") == "descending"
    page.click("th button", "Reward")
    page.until(f"{seeds} === '13,11,12,14'")
    page.fill("select[aria-label='All states']", "failed")
    page.until(f"{seeds} === '14'")
    assert page.text(".rows td.c-code")
    page.fill("select[aria-label='All states']", "")
    page.fill("input[type=search]", "the second")
    page.until(f"{seeds} === '12'")
    # The table has the ends of ids.
    page.fill("input[type=search]", failed["id"][-12:])
    page.until(f"{seeds} === '14'")
    assert page.text(".rows td.c-id a") == failed["id"][-12:] == "123456789012"


def test_what_a_container_says_is_text(page: Page, client: ContainerPoolsClient, pool: str) -> None:
    evil = "<img src=x onerror=\"document.title='broken'\"><script>document.title='broken'</script>"
    created = run(client, pool, env={"reward": 1, "words": evil}, metadata={"run": evil})
    go(page, f"#/rollouts/{created['id']}")
    page.until("document.querySelector('h1 .badge')?.innerText === 'completed'")
    assert evil in page.run("document.querySelector('.code pre').textContent").replace('\\"', '"')
    assert page.run("document.querySelectorAll('img, main script').length") == 0
    title = f"completed {created['id']} · {pool} · synth-pools"
    assert page.run("document.title") == title


def test_an_artifact_is_shown_before_it_is_saved(
    page: Page, client: ContainerPoolsClient, pool: str
) -> None:
    created = run(client, pool, env={"reward": 1})
    go(page, f"#/rollouts/{created['id']}")
    page.click("button", "Preview")
    output = page.until("document.querySelector('section > pre')?.textContent.startsWith('{')")
    assert output
    [artifact] = client.get_rollout_artifacts(pool, created["id"])["items"]
    content = client.rollouts.artifact(pool, created["id"], artifact["path"])
    assert page.run("document.querySelector('section > pre').textContent").encode() == content


# A red pixel, since no browser writes GIF.
GIF = "R0lGODlhAQABAIAAAP8AAP///yH5BAAAAAAALAAAAAABAAEAAAICRAEAOw=="
SVG = "<svg xmlns='http://www.w3.org/2000/svg'><script>document.title='broken'</script></svg>"


def test_pictures_are_shown_and_documents_are_text(
    page: Page, client: ContainerPoolsClient
) -> None:
    drawn = page.run(
        "['png', 'jpeg', 'webp'].map((kind) => {"
        "  const canvas = Object.assign(document.createElement('canvas'), {width: 3, height: 2});"
        "  const context = canvas.getContext('2d');"
        "  context.fillStyle = '#f00'; context.fillRect(0, 0, 3, 2);"
        "  return canvas.toDataURL(`image/${kind}`).split(/[:;,]/);"
        "})"
    )
    pictures = {str(kind): text for _, kind, _, text in drawn} | {"image/gif": GIF}
    assert set(pictures) == {"image/png", "image/jpeg", "image/webp", "image/gif"}
    texts = {"image/svg+xml": SVG, "text/html": "<script>document.title='broken'</script>"}
    files = [
        {"name": f"{kind.replace('/', '.')}", "content_type": kind, "content": content, **more}
        for expected, more in ((pictures, {"content_encoding": "base64"}), (texts, {}))
        for kind, content in expected.items()
    ]
    files += [{"name": "false.png", "content_type": "image/png", "content": SVG}]

    def answer(request: Seen) -> bytes:
        done = {"status": "completed", "success_status": "success", "summary": {"reward": 1}}
        rollout_id = request.json["rollout_id"]
        return http(200, {"rollout_id": rollout_id, **done, "artifact": files})

    with odd_container(answer) as container:
        pool = client.create_pool({"name": "pictures", "container_url": container.url})["id"]
        created = run(client, pool)
        go(page, f"#/rollouts/{created['id']}")
        rows = "document.querySelectorAll('[aria-label=Artifacts] tbody tr')"
        page.until(f"{rows}.length === {len(files)}")
        for file in files:
            name, content = json.dumps(file["name"]), json.dumps(file["content"])
            page.run(
                f"[...{rows}].find((row) => row.textContent.startsWith({name}))"
                ".querySelector('button').click()"
            )
            page.until(f"document.querySelector('h3')?.innerText === {name}")
            if file["content_type"] in texts:
                page.until(f"document.querySelector('section > pre')?.textContent === {content}")
            elif file["content"] == SVG:
                page.until("document.querySelector('section > pre')?.innerText.includes('Error')")
            else:
                page.until("!!document.querySelector('section > canvas')")
                width, [red, green, blue, alpha] = page.run(
                    "((canvas) => [canvas.width,"
                    " [...canvas.getContext('2d').getImageData(0, 0, 1, 1).data]])"
                    "(document.querySelector('section > canvas'))"
                )
                assert width == (1 if file["content"] == GIF else 3)
                is_red = red > 200 and green < 60 and blue < 60 and alpha == 255
                assert is_red, (file["name"], red, green, blue, alpha)
        assert page.run("document.querySelectorAll('img, svg, iframe, main script').length") == 0
        title = f"completed {created['id']} · {pool} · synth-pools"
        assert page.run("document.title") == title
        client.delete_pool(pool)


def test_a_plot_is_drawn_with_its_numbers_beside_it(
    page: Page, client: ContainerPoolsClient, pool: str
) -> None:
    for seed in range(4):
        for reward in (0.25, 0.75):
            run(client, pool, seed=seed, env={"reward": reward} if reward < 0.5 else None)
    go(page, f"#/pools/{pool}/plots")
    page.until("document.querySelectorAll('.plot canvas').length === 4")
    figures = page.text("[aria-label=Figures]")
    assert "8" in figures.split()
    tables = page.run("document.querySelectorAll('figure details table').length")
    assert tables == 4
    cells = '[aria-label="Distribution of rewards"] tbody td:last-child'
    counts = page.run(
        f"[...document.querySelectorAll({json.dumps(cells)})]"
        ".reduce((sum, e) => sum + Number(e.textContent), 0)"
    )
    assert counts == 8
