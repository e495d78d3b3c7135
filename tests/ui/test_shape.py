"""The page with no, three and 2,000 rollouts, on a desktop and on a phone, in both schemes."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from synth_pools.local import LocalBackend
from tests.support.axe import check
from tests.support.backend_server import eventually
from tests.support.browser import Page
from tests.support.process_pools import process

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

POOLS = {"none": 0, "three": 3, "many": 2000}
SIZES = {"desktop": (1280, 800), "phone": (390, 844)}
ROWS = "document.querySelectorAll('.rows tbody tr:not([aria-hidden])').length"
COLUMNS = "[...document.querySelectorAll('.rows th')].map(e => e.className.slice(2)).join()"
# The left and right edges of an element, and whether its text is at the right.
BOX = "((e) => ({...e.getBoundingClientRect().toJSON(), align: getComputedStyle(e).textAlign}))"
MOMENT = re.compile(r"(\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d\.\d{3}")


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBackend]:
    with (
        LocalBackend(tmp_path_factory.mktemp("shape"), allow_processes=True) as backend,
        backend.client() as client,
    ):
        for pool, count in POOLS.items():
            client.create_pool({"pool_id": pool, "name": pool, "concurrency": 200})
            requests: list[dict[str, Any]] = [
                {"seed": seed, "env": {"fail": True} if seed % 9 == 1 else {"reward": 0.75}}
                for seed in range(count)
            ]
            for start in range(0, count, 1000):
                batch = requests[start : start + 1000]
                client.create_rollout_batch({"pool_id": pool, "rollouts": batch})
        metrics = client.get_pool_metrics

        def is_over() -> bool:
            counts = metrics("many")
            return bool(counts["completed_rollouts"] + counts["failed_rollouts"] == 2000)

        eventually(is_over)
        yield backend


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_every_view_fits_its_screen(
    page: Page, backend: LocalBackend, size: str, scheme: str
) -> None:
    width, height = SIZES[size]
    page.screen(width, height, phone=size == "phone")
    page.scheme(scheme)
    for pool, count in POOLS.items():
        page.run(f"location.hash = '#/pools/{pool}'")
        page.until(f"document.title.startsWith('{pool} ')")
        page.until(
            f"document.querySelector('.tools [role=status]')?.innerText === '{count:,} rollouts'"
        )
        table = page.run(f"{BOX}(document.querySelector('.rows'))")
        # It takes the height that there is.
        assert height - 24 <= table["bottom"] <= height
        expected = "seed,status,reward,code"
        if size == "desktop":
            expected = "id,status,reward,seed,task,code,created,wait,took"
        assert page.run(COLUMNS) == expected
        for tab, sign in (
            ("rollouts", ".rows td a" if count else ".rows .empty"),
            ("plots", ".plot canvas" if count else ".plots .empty"),
            ("groups", ".empty"),
        ):
            page.run(f"location.hash = '#/pools/{pool}/{tab}'")
            page.until(f"!!document.querySelector('{sign}')")
            # Parts of a page scroll by themselves, never the whole.
            assert page.run("document.documentElement.scrollWidth") <= width, (pool, tab)
            check(page, f"{pool} {tab}")
    # The height of a window that grows is used, too.
    page.run("location.hash = '#/pools/many'")
    page.until(f"{ROWS} > 4")
    few = page.run(ROWS)
    page.screen(width, height + 680, phone=size == "phone")
    page.until(f"{ROWS} >= {few + 19}")


def test_numbers_are_at_the_right_and_an_error_has_room(page: Page, backend: LocalBackend) -> None:
    page.run("location.hash = '#/pools/many/rollouts?status=failed'")
    page.until(f"{ROWS} > 4")
    boxes = {
        name: page.run(f"{BOX}(document.querySelector('.rows td.c-{name}'))")
        for name in ("reward", "seed", "created", "wait", "took", "code", "status")
    }
    assert {name for name, box in boxes.items() if box["align"] == "right"} == {
        "reward", "seed", "created", "wait", "took",
    }  # fmt: skip
    assert boxes["code"]["width"] > 2 * (boxes["wait"]["width"] + boxes["took"]["width"])
    assert "env.fail asked for a failure" in page.text(".rows td.c-code")
    assert MOMENT.fullmatch(page.text(".rows td.c-created"))
    # Nothing of these is cut off.
    for name in ("id", "created", "wait", "took", "status"):
        cell = f"document.querySelector('.rows td.c-{name}')"
        assert page.run(f"{cell}.scrollWidth <= {cell}.clientWidth"), name
    for place, label, sign in (
        ("#/", "Pools", "document.querySelectorAll('[aria-label=Pools] meter').length === 3"),
        ("#/pools/many/plots", "Figures", "!!document.querySelector('.plot canvas')"),
    ):
        page.run(f"location.hash = '{place}'")
        page.until(f"!!document.querySelector('[aria-label={label}]') && {sign}")
        aligned = page.run(
            f"[...document.querySelectorAll('[aria-label={label}] td')]"
            ".filter(e => /^[\\d,.]+( s| %)?$/.test(e.innerText))"
            ".map(e => getComputedStyle(e).textAlign)"
        )
        assert len(aligned) > 5
        assert set(aligned) == {"right"}


def test_equal_rewards_are_one_bar_and_failures_are_red(page: Page, backend: LocalBackend) -> None:
    page.run("location.hash = '#/pools/many/plots'")
    page.until("!!document.querySelector('.plot canvas')")
    rows = "document.querySelectorAll('[aria-label=\"Distribution of rewards\"] tbody tr')"
    # The rollouts come on several pages of the list.
    page.until(f"[...{rows}].map(e => e.textContent).join() === '0.751,777'")
    meter = "document.querySelector('[aria-label=\"Failures by code\"] meter')"
    page.run(f"{meter}.scrollIntoView()")
    box = page.run(f"{BOX}({meter})")
    middle = (box["left"] + box["width"] / 2, box["top"] + box["height"] / 2)
    assert pixel(page, *middle) == [179, 38, 30]


def pixel(page: Page, x: float, y: float) -> list[int]:
    """Return the red, green and blue of a place on the screen."""
    content = base64.b64encode(page.screenshot()).decode()
    result: list[int] = page.run(
        f"createImageBitmap(new Blob([Uint8Array.from(atob('{content}'), c => c.charCodeAt(0))]))"
        ".then((image) => {"
        "  const {width, height} = image;"
        "  const canvas = Object.assign(document.createElement('canvas'), {width, height});"
        "  const context = canvas.getContext('2d');"
        "  context.drawImage(image, 0, 0);"
        f" return [...context.getImageData({int(x)}, {int(y)}, 1, 1).data].slice(0, 3);"
        "})"
    )
    return result


def test_what_scrolls_shows_it(page: Page, backend: LocalBackend) -> None:
    page.screen(*SIZES["phone"], phone=True)
    page.run("location.hash = '#/'")
    page.until("document.querySelectorAll('[aria-label=Pools] tbody tr').length === 3")
    for place, selector in (("#/", ".wide"), ("#/pools/many", ".rows"), ("#/pools/many", ".tabs")):
        page.run(f"location.hash = '{place}'")
        page.until(f"!!document.querySelector('{selector}')")
        element = f"document.querySelector('{selector}')"
        page.until(
            f"{element}.scrollWidth > {element}.clientWidth"
            f" || {element}.scrollHeight > {element}.clientHeight"
        )
        # A shadow at the edge, which a cover that scrolls along hides at the end.
        layers = page.run(f"getComputedStyle({element}).backgroundAttachment").split(", ")
        assert {"local", "scroll"} == set(layers), selector


def test_an_id_is_copied_with_a_click(page: Page, backend: LocalBackend) -> None:
    page.run(
        "window.written = []; Object.defineProperty(navigator, 'clipboard', {configurable: true,"
        " value: {writeText: async (text) => window.written.push(text)}})"
    )
    page.run("location.hash = '#/pools/three'")
    page.until(f"{ROWS} === 3")
    page.click(".rows .copy")
    page.click("h1 .copy")
    page.until("!!document.querySelector('h1 [aria-label=Copied]')")
    rollout = page.run("document.querySelector('.rows a').getAttribute('href').split('/').at(-1)")
    assert page.run("written") == [rollout, "three"]
    # Over plain HTTP browsers have no clipboard: the text is selected and copied.
    page.run(
        "Object.defineProperty(navigator, 'clipboard', {value: undefined, configurable: true});"
        "document.execCommand = (name) => written.push(name, document.activeElement.value)"
    )
    page.run(f"location.hash = '#/rollouts/{rollout}'")
    page.until(f"document.querySelector('h1')?.innerText.startsWith('{rollout}')")
    page.click("h1 .copy")
    page.until("written.length === 4")
    assert page.run("written.slice(2)") == ["copy", rollout]
    assert page.run("document.querySelectorAll('body > textarea').length") == 0


def test_the_keyboard_alone_filters_opens_and_goes_back(page: Page, backend: LocalBackend) -> None:
    def tab_to(condition: str) -> None:
        for _ in range(60):
            page.press("Tab")
            if page.run(f"((e) => {condition})(document.activeElement)"):
                return
        raise AssertionError(f"never reached: {condition}")

    page.run("location.hash = '#/pools/three'")
    page.until(f"{ROWS} === 3")
    tab_to("e.type === 'search'")
    page.call("Input.insertText", text="1")
    page.until(f"{ROWS} === 1")
    tab_to("e.closest('td.c-id') && e.tagName === 'A'")
    page.press("Enter")
    page.until("document.querySelector('h1 .badge')?.innerText === 'failed'")
    tab_to("e.innerText === 'Next failed'")
    page.press("Enter")
    assert "No rollout after this one failed" in page.text(".refusal")


def test_a_pool_whose_process_does_not_start_says_so(page: Page, backend: LocalBackend) -> None:
    argv = ["/bin/sh", "-c", "echo '<b>no GPU</b>'; exit 3"]
    with backend.client() as client:
        client.create_pool({"pool_id": "bad", "name": "bad", "config": {"process": {"argv": argv}}})
        cell = "document.querySelector('[aria-label=Pools] tbody td:last-child')?.innerText"
        page.until(f"{cell}?.includes('The process ended with status 3')")
        assert "echo" not in page.run(cell)
        page.run("location.hash = '#/pools/bad'")
        assert "The process ended with status 3" in page.text(".failure")
        page.click(".failure a", "Output")
        page.until("document.querySelector('.output')?.textContent.includes('<b>no GPU</b>')")
        check(page, "a pool that fails")
        client.delete_pool("bad")


def test_output_has_times_begins_at_the_newest_and_is_searched(
    page: Page, backend: LocalBackend
) -> None:
    lines = 1500
    shell = f'for i in $(seq {lines}); do echo "weight $i"; done; exec "$0" "$@"'
    argv = ["/bin/sh", "-c", shell, *process()["argv"]]
    with backend.client() as client:
        client.create_pool({"pool_id": "own", "name": "own", "config": {"process": {"argv": argv}}})
        eventually(lambda: client.get_pool("own")["status"] == "active")
        page.run("location.hash = '#/pools/own/output'")
        output = "document.querySelector('.output')"
        # Older lines come on further pages.
        page.until(f"{output}?.textContent.includes('listening')")
        below = f"{output}.scrollHeight - {output}.scrollTop - {output}.clientHeight"
        page.until(f"{output}.scrollTop > 0 && {below} < 2")
        times = page.run(f"[...{output}.querySelectorAll('time')].map(e => e.innerText)")
        assert len(times) > lines
        assert all(MOMENT.fullmatch(text) for text in times)
        page.fill("input[type=search]", "WEIGHT 149")
        page.until(f"{output}.querySelectorAll('time').length === 11")
        assert page.run("location.hash") == "#/pools/own/output?text=WEIGHT+149"
        # A rollout shows what its container wrote meanwhile, and nothing of its start.
        params = {"value": "print('solving <1>', flush=True)"}
        body: dict[str, Any] = {"mode": "sync", "params": params}
        created = client.create_rollout("own", body)
        page.run(f"location.hash = '#/rollouts/{created['id']}'")
        page.until(f"{output}?.textContent.includes('solving <1>')")
        assert "weight" not in page.run(f"{output}.textContent")
        check(page, "a log")
        assert client.get_rollout("own", created["id"])["status"] == "completed"
        # The next request is like this one, not the echo target's.
        page.run("location.hash = '#/pools/own'")
        page.click("button", "New rollouts")
        proposal = page.until("document.querySelector('dialog textarea')?.value")
        assert json.loads(proposal) == {"params": params}
        page.click("dialog button", "Back")
        client.create_pool({"pool_id": "new", "name": "new", "config": {"process": process()}})
        page.run("location.hash = '#/pools/new'")
        page.click("button", "New rollouts")
        assert page.until("document.querySelector('dialog textarea')?.value") == "{}"
        page.click("dialog button", "Back")
        for pool in ("own", "new"):
            client.delete_pool(pool)
