"""The HTML report, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from synth_pools.contract.reports.html import render_html
from tests.contract.reports.sample_report import DOCUMENT, sample_report
from tests.support.browser import NAMES, Page, chromium, find_chromium

_CHROMIUM = find_chromium()
# The lowest contrast of any text with its background, as WCAG computes it.
_LEAST_CONTRAST = """(() => {
  const channel = (value) => value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  const light = (colour) => {
    const [r, g, b] = colour.match(/[0-9.]+/g).map((text) => channel(Number(text) / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (; element; element = element.parentElement) {
      const colour = getComputedStyle(element).backgroundColor;
      if (colour !== "rgba(0, 0, 0, 0)") return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const texts = "h1, p, td, th, summary, dd, dt, pre, .chip, a";
  const shown = [...document.querySelectorAll(texts)].filter((e) => e.offsetParent);
  return Math.min(...shown.map((e) => {
    const pair = [light(getComputedStyle(e).color), light(behind(e))];
    return (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
  }));
})()"""
_SHOWN = "[...document.querySelectorAll('%s')].filter(e => e.offsetParent).length"
in_a_browser = pytest.mark.skipif(
    _CHROMIUM is None, reason=f"no browser to read the report in: none of {', '.join(NAMES)}"
)


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    file = tmp_path / "report.html"
    file.write_text(render_html(sample_report()), encoding="utf-8")
    assert _CHROMIUM is not None
    with chromium(_CHROMIUM) as page:
        page.open(file.as_uri())
        yield page


@in_a_browser
def test_nothing_but_the_file_is_asked_for_and_nothing_breaks_out(page: Page) -> None:
    assert page.run("document.title") == "http://127.0.0.1:8080 departs"
    assert page.run("document.images.length") == 0
    assert [url for url in page.requested if not url.startswith("file:")] == []
    assert page.complaints == []


@in_a_browser
def test_table_and_departures_are_all_there(page: Page) -> None:
    assert page.run("document.querySelectorAll('#table tbody tr').length") == len(
        DOCUMENT.operations
    )
    assert page.run("document.querySelectorAll('#departures details').length") == 2
    assert page.run("document.querySelector('#verdict').textContent").startswith(
        f"departs: {len(DOCUMENT.operations) - 3} of {len(DOCUMENT.operations)}"
    )
    assert page.run("document.querySelectorAll('#table td.departed').length") == 3


@in_a_browser
def test_search_finds_operations_checks_and_answers(page: Page) -> None:
    def search(text: str) -> tuple[int, int]:
        page.run(
            f"document.getElementById('search').value = {text!r};"
            "document.getElementById('search').dispatchEvent(new Event('input'))"
        )
        return (page.run(_SHOWN % "#table tbody tr"), page.run(_SHOWN % "#departures details"))

    assert search("") == (len(DOCUMENT.operations), 2)
    assert search("cancel_rollout") == (1, 1)
    assert search("still RUNNING") == (0, 1)
    assert search("/artifacts") == (4, 0)
    assert search("nothing like that") == (0, 0)
    assert page.run("document.querySelector('#departures .nothing').offsetParent !== null")
    search("")
    page.run("document.getElementById('only-departed').click()")
    assert (
        page.run(
            "[...document.querySelectorAll('#table tbody tr')].filter(e => e.offsetParent).length"
        )
        == 3
    )


@in_a_browser
def test_page_fits_a_phone(page: Page) -> None:
    page.screen(360, 780, phone=True)
    assert page.run("innerWidth") == 360
    assert page.run("document.documentElement.scrollWidth") <= 360
    # Only elements inside a scrolling one may be wider than the screen.
    cells = "[...document.querySelectorAll('#table th, #table td')]"
    widest = f"Math.max(...{cells}.map(e => e.getBoundingClientRect().right))"
    assert page.run(widest) <= 360
    assert page.run("parseFloat(getComputedStyle(document.body).fontSize)") >= 15


@in_a_browser
def test_page_is_legible_in_light_and_dark(page: Page) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    page.scheme("light")
    light = page.run(background)
    assert page.run(_LEAST_CONTRAST) >= 4.5
    page.scheme("dark")
    assert page.run(background) != light
    assert page.run(_LEAST_CONTRAST) >= 4.5


def test_report_is_one_file_that_names_no_other() -> None:
    text = render_html(sample_report())
    assert "<link" not in text
    assert " src=" not in text.replace("&lt;img src=x", "")
    assert "default-src &#x27;none&#x27;" in text


def test_what_the_document_does_not_name_stands_out_among_the_statuses() -> None:
    _, _, row = render_html(sample_report()).partition('<tr data-find="get_pool"')
    chips = re.findall('<span class="chip (hit|strange)">([0-9]+)', row.partition("</tr>")[0])
    assert chips == [("hit", "200"), ("strange", "418")]


def test_verdicts_are_told_apart() -> None:
    assert 'class="verdict good"' in render_html(sample_report(departs=False))
    assert 'class="verdict bad"' in render_html(sample_report())
    stuck = render_html(sample_report(departs=False, obstacles=("no pool can be made",)))
    assert 'class="verdict odd"' in stuck
    assert "no pool can be made" in stuck
