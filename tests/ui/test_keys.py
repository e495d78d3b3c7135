"""The page in sessions of keys with different scopes: what it shows, and which buttons it has."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from synth_pools import ContainerPoolsClient
from synth_pools.local import LocalBackend
from tests.support.axe import check
from tests.support.browser import Page

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

SCOPES = ("metrics", "read", "run", "admin")
# The text of each button that a scope is needed for, and why it is disabled.
BUTTONS = (
    "Object.fromEntries([...document.querySelectorAll('header.title .buttons button')]"
    ".map((one) => [one.innerText, one.disabled ? one.title : '']))"
)
LACKS = 'The key of this session lacks the scope "{}".'


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBackend]:
    folder = tmp_path_factory.mktemp("keys")
    keys = folder / "keys"
    keys.write_text("".join(f"{name}: sk_key_to_{name} scopes={name}\n" for name in SCOPES[::-1]))
    keys.chmod(0o600)
    with LocalBackend(folder / "data", api_keys_file=keys) as backend:
        yield backend


@pytest.fixture(scope="module")
def rollout(backend: LocalBackend) -> str:
    """A rollout that runs, admitted by the key `run`, beside one of `admin`."""
    url = backend.url
    with ContainerPoolsClient(backend_base=url, api_key="sk_key_to_admin") as client:
        client.create_pool({"pool_id": "shared"})
        client.create_rollout("shared", {"seed": 1, "run": "tuesday", "mode": "sync"})
    with ContainerPoolsClient(backend_base=url, api_key="sk_key_to_run") as client:
        return str(client.create_rollout("shared", {"seed": 2, "env": {"delay": 300}})["id"])


def log_in(page: Page, backend: LocalBackend, name: str) -> None:
    if page.run("!document.querySelector('input[name=key]')"):
        # A read that is under way then has lost its session.
        page.refusals.append(401)
        page.click(".bar button", "Log out")
    page.fill("input[name=key]", f"sk_key_to_{name}")
    page.click("button", "Log in")
    page.until("document.querySelector('main h1')?.innerText !== 'synth-pools'")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_buttons_that_the_key_may_not_use_say_why(
    page: Page, backend: LocalBackend, rollout: str, scheme: str
) -> None:
    page.scheme(scheme)
    for name in SCOPES[1:]:
        run = "" if name in ("run", "admin") else LACKS.format("run")
        admin = "" if name == "admin" else LACKS.format("admin")
        log_in(page, backend, name)
        for place, title, expected in (
            ("#/pools", "Pools", {"New pool": admin}),
            ("#/pools/shared", "shared", {"New rollouts": run, "Pause": admin, "Archive": admin}),
            ("#/runs/tuesday", "tuesday", {"Delete": admin}),
            (
                f"#/rollouts/{rollout}",
                rollout,
                {"Previous failed": "", "Next failed": "", "Cancel": run, "Replay": run},
            ),
        ):
            page.run(f"location.hash = '{place}'")
            page.until(f"document.querySelector('main h1')?.innerText.startsWith('{title}')")
            page.until(f"JSON.stringify({BUTTONS}) === JSON.stringify({json.dumps(expected)})")
            check(page, f"{place} as {name}")


def test_a_key_for_metrics_alone_sees_a_sentence_and_no_error(
    page: Page, backend: LocalBackend, rollout: str
) -> None:
    page.refusals.append(403)
    log_in(page, backend, "metrics")
    page.until("document.querySelector('main h1')?.innerText === 'Nothing to see'")
    assert 'lacks the scope "read"' in page.text("main .empty")
    check(page, "metrics")
    log_in(page, backend, "read")
    page.until("document.querySelector('main h1')?.innerText === 'Pools'")


def test_who_made_a_rollout_is_shown_and_can_be_chosen(
    page: Page, backend: LocalBackend, rollout: str
) -> None:
    page.run(f"location.hash = '#/rollouts/{rollout}'")
    page.until("document.querySelector('.facts')?.innerText.includes('By the key')")
    assert page.text(".facts").split("By the key")[1].split()[0] == "run"
    page.run("location.hash = '#/pools/shared'")
    keys = "[...document.querySelectorAll('.rows td.c-by')].map(one => one.innerText).join()"
    page.until(f"{keys} === 'run,admin'")
    page.run("location.hash = '#/pools/shared/rollouts?by=run'")
    page.until(f"{keys} === 'run'")
    assert page.run("document.querySelector('select[aria-label=\"All keys\"]').value") == "run"
