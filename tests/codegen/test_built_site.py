"""The built site in a browser: the reference of Python, and what its search finds."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from codegen.site.__main__ import ROOT, derived_pages
from codegen.site.checking import check_site
from codegen.site.search_index import name_members
from codegen.site.staging import CONFIG, stage_site
from tests.support.browser import NAMES, Page, chromium, find_chromium

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600), pytest.mark.xdist_group("built-site")]

# Ask the worker of the search for each text, as the search box does.
SEARCH = """
(async texts => {
  const {base, search} = JSON.parse(document.querySelector('#__config').textContent);
  const index = await (await fetch(new URL(`${base}/search.json`, location))).json();
  const worker = new Worker(new URL(search, location));
  const ask = message => new Promise((resolve, reject) => {
    worker.onmessage = ({data}) => data.type === 4 ? reject(data) : resolve(data.data);
    worker.onerror = reject;
    worker.postMessage(message);
  });
  await ask({type: 0, data: index});
  const results = {};
  for (const input of texts) {
    const result = await ask({type: 2, data: {input}});
    results[input] = result.items.map(({id}) => index.items[id].location);
  }
  return results;
})
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site in a folder of its own."""
    folder = tmp_path_factory.mktemp("site")
    settings = yaml.safe_load((ROOT / CONFIG).read_text())
    settings |= {"docs_dir": "docs", "site_dir": "site"}
    [handlers] = [
        plugin["mkdocstrings"]["handlers"]
        for plugin in settings["plugins"]
        if "mkdocstrings" in plugin
    ]
    handlers["python"]["paths"] = [str(ROOT), str(ROOT / "generated")]
    (folder / CONFIG).write_text(yaml.safe_dump(settings))
    stage_site(ROOT, folder / "docs", derived_pages())
    built = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict", "-f", folder / CONFIG],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    name_members(folder / "site")
    return folder / "site"


@pytest.fixture(scope="module")
def page(site: Path) -> Iterator[Page]:
    path = find_chromium()
    if path is None:
        pytest.skip(f"no browser to read the site in: none of {', '.join(NAMES)}")
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            with chromium(path) as browser:
                browser.open(f"http://127.0.0.1:{server.server_port}/reference/python/")
                yield browser
        finally:
            server.shutdown()
            thread.join()


def test_links_lead_somewhere_and_nothing_is_fetched_from_elsewhere(site: Path, page: Page) -> None:
    assert check_site(site) == []
    assert page.complaints == []
    home = page.run("location.origin")
    fetched = [url for url in page.requested if url.startswith("http")]
    assert [url for url in fetched if not url.startswith(home)] == []


def test_a_name_in_the_index_leads_to_its_class_and_its_methods(page: Page) -> None:
    page.click("article a", "RolloutsNamespace")
    page.until("document.querySelector('h1')?.innerText.startsWith('RolloutsNamespace')")
    anchors: Any = page.run("[...document.querySelectorAll('h2')].map(heading => heading.id)")
    assert any(anchor.endswith(".RolloutsNamespace.create") for anchor in anchors)


def test_search_finds_what_people_look_for(page: Page) -> None:
    expected = {
        "retry": "guide/errors-and-retries/",
        "retries": "guide/errors-and-retries/",
        "logs": "reference/commands/#logs",
        "follow_logs": "reference/python/ContainerPoolsClient/",
        "seed": "reference/python/RolloutOutcome/",
        "upgrade": "team/#upgrade",
    }
    # At the end of a page, which may still be read.
    page.until("document.querySelector('#__config') !== null")
    results = page.run(f"{SEARCH}({json.dumps(list(expected))})")
    for text, location in expected.items():
        assert results[text][0].startswith(location), (text, results[text])
