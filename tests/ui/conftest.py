"""Backends and a browser for the tests of the live page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from synth_pools.local import LocalBackend
from tests.support.backend_fixtures import failures, no_failures, server, start
from tests.support.browser import NAMES, Page, chromium, find_chromium

__all__ = ["failures", "no_failures", "server", "start"]


@pytest.fixture(scope="session")
def browser() -> Iterator[Page]:
    """One browser for all tests of a worker: each backend is an origin of its own."""
    path = find_chromium()
    if path is None:
        pytest.skip(f"no browser to read the page in: none of {', '.join(NAMES)}")
    with chromium(path) as page:
        yield page


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[LocalBackend]:
    with LocalBackend(tmp_path / "data") as backend:
        yield backend


@pytest.fixture
def page(browser: Page, backend: LocalBackend) -> Iterator[Page]:
    """The page of the backend, logged in; it must not complain of anything."""
    # Requests of the page under test alone.
    browser.requested.clear()
    browser.open(backend.page_url())
    browser.screen(1280, 800)
    browser.scheme("light")
    browser.until("document.querySelector('main h1')?.innerText === 'Pools'")
    browser.complaints.clear()
    browser.refusals[:] = [404]
    yield browser
    expected = tuple(f"status of {status}" for status in browser.refusals)
    complaints = [
        text for text in browser.complaints if not any(words in text for words in expected)
    ]
    # No page goes on asking a backend that has ended.
    browser.open("about:blank")
    assert complaints == []
