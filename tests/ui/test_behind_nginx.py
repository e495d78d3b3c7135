"""The page and the event streams behind the real nginx, which knows nothing of them."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from synth_pools import ContainerPoolsClient
from synth_pools.local import LocalBackend
from tests.support.browser import Page
from tests.support.nginx import nginx

OF_A_BROWSER = {"sec-fetch-site": "same-origin"}


def test_the_page_logs_in_behind_nginx_or_says_what_it_must_pass(backend: LocalBackend) -> None:
    proof = {"key": backend.api_key}
    for line, headers, status in (
        ("", OF_A_BROWSER, 200),
        ("", {}, 403),
        ("", {"sec-fetch-site": "same-site"}, 403),
        ("proxy_set_header Host $http_host;", {}, 200),
        ("proxy_set_header X-Forwarded-Host $http_host;", {}, 200),
        ("proxy_set_header X-Forwarded-Host other.example;", {}, 403),
    ):
        with nginx(backend.url, line) as url:
            answer = httpx.post(f"{url}/ui/session", json=proof, headers={"origin": url, **headers})
            assert answer.status_code == status, (line, headers, answer.text)
            if status == 403 and not headers:
                message = answer.json()["error"]["message"]
                assert url.removeprefix("http://") in message
                assert "proxy_set_header Host $http_host;" in message


def test_events_come_at_once_behind_nginx(backend: LocalBackend) -> None:
    with (
        nginx(backend.url) as url,
        ContainerPoolsClient(api_key=backend.api_key, backend_base=url) as client,
    ):
        pool = client.create_pool({"name": "p"})["id"]
        created = client.create_rollout(pool, {"env": {"delay": 600}})
        with httpx.stream(
            "GET",
            f"{url}/v1/rollouts/{created['id']}/events",
            headers={"authorization": f"Bearer {backend.api_key}"},
        ) as stream:
            lines = stream.iter_lines()
            # Its last event is far away.
            assert "event: rollout.started" in lines
            client.cancel_rollout(pool, created["id"])
            assert "event: rollout.cancelled" in lines


@pytest.mark.browser
@pytest.mark.xdist_group("browser")
def test_the_page_is_live_behind_nginx(browser: Page, backend: LocalBackend) -> None:
    with nginx(backend.url) as url, backend.client() as client:
        client.create_pool({"pool_id": "p", "name": "p"})
        browser.open(backend.page_url().replace(backend.url, url))
        browser.until("document.querySelector('main h1')?.innerText === 'Pools'")
        browser.run("location.hash = '#/pools/p'")
        browser.until("document.querySelector('.facts')?.innerText.includes('live')")
        body: dict[str, Any] = {"mode": "sync", "seed": 1}
        client.create_rollout("p", body)
        browser.until("document.querySelectorAll('.rows .completed').length === 1")
        browser.open("about:blank")
