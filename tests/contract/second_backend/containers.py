"""Containers: calls to them, their health, and the built-in echo target."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

from tests.contract.second_backend.problems import Problem
from tests.contract.second_backend.rules import Rules
from tests.contract.second_backend.state import Pool, is_number

_CHECK_EVERY = 2.0
_CHECK_TIMEOUT = 5.0
_LARGEST = 64 * 1024 * 1024
_DOES_NOT_HAVE = (404, 405, 501)
_SHORTEST_KEY = 8
_KEY_NAME = re.compile(r"ENVIRONMENT_API_KEY$|CONTAINER_API_KEY")
ECHO_ANSWERS: dict[str, dict[str, Any]] = {
    "health": {"status": "ok"},
    "info": {"runtime": {"name": "echo"}, "capabilities": {"rollout_modes": ["sync"]}},
    "metadata": {"runtime": {"name": "echo"}, "capabilities": {"rollout_modes": ["sync"]}},
}


class CallFailed(Exception):  # noqa: N818 - it is an outcome, not a fault of the program
    """A call to a container without a usable answer."""

    def __init__(self, code: str, message: str, **details: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details
        self.unconnected = False
        # The container broke down during the rollout.
        self.lost = False

    @property
    def error(self) -> dict[str, Any]:
        return {"code": self.code, "message": self.message, "details": self.details}


@dataclass
class Answer:
    status: int
    content: bytes
    # A secret that is masked in the body.
    hidden: str | None

    def json(self) -> Any:
        """Return the body, with the container's key masked.

        Raises:
            ValueError: It is not JSON.
        """
        text = self.content.decode()
        masked = text.replace(self.hidden, "***") if self.hidden else text
        return json.loads(masked, parse_float=_finite)


@dataclass
class _Health:
    failures: int = 0
    successes: int = 0
    healthy: bool = True
    reached: bool = False
    away: bool = False
    away_since: datetime | None = None
    last_error: str | None = None


class Containers:
    """All containers of all pools, by address."""

    def __init__(self, keeps: Rules) -> None:
        self.health: dict[str, _Health] = defaultdict(_Health)
        self.running: dict[str, int] = defaultdict(int)
        self._turn = 0
        self._keeps = keeps
        self._client = httpx.AsyncClient(
            timeout=None, follow_redirects=False, trust_env=False, limits=httpx.Limits()
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def call(
        self,
        method: str,
        base: str,
        path: str,
        *,
        key: str | None = None,
        content: bytes | None = None,
        timeout: float,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Send a request to a container.

        Raises:
            CallFailed: Nobody answered, not in time, or not to the end.
        """
        request_headers = dict(headers or {})
        if key is not None and self._keeps("keys.sent"):
            request_headers["X-API-Key"] = key
        if content is not None:
            request_headers["Content-Type"] = "application/json"
        answer = None
        try:
            async with asyncio.timeout(timeout):
                request = self._client.build_request(
                    method, _joined(base, path), content=content, headers=request_headers
                )
                answer = await self._client.send(request, stream=True)
                self.health[base].reached = True
                self.health[base].away, self.health[base].away_since = False, None
                body = await _read(answer)
        except TimeoutError:
            raise CallFailed("container_timeout", f"No answer within {timeout:g} s.") from None
        except (httpx.ConnectError, httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError) as e:
            failed = CallFailed("container_unreachable", f"No container answered at {base}: {e}")
            failed.unconnected = failed.lost = True
            raise failed from None
        except httpx.HTTPError as error:
            answered = answer is not None
            code = "container_bad_response" if answered else "container_unreachable"
            failed = CallFailed(code, f"The container at {base} broke off: {error}", url=base)
            failed.lost = True
            raise failed from None
        finally:
            if answer is not None:
                await answer.aclose()
        return Answer(answer.status_code, body, key if self._keeps("keys.masked") else None)

    def choose(self, urls: list[str], avoid: str | None = None) -> str:
        """Return the healthy container with the fewest running rollouts."""
        there = [url for url in urls if not self.health[url].away] or urls
        healthy = [url for url in there if self.health[url].healthy] or there
        others = [url for url in healthy if url != avoid] or healthy
        if not self._keeps("containers.least_loaded"):
            return urls[0]
        if not self._keeps("containers.idle_first"):
            self._turn += 1
            return others[self._turn % len(others)]
        return min(others, key=lambda url: self.running[url])

    def checked(self, url: str, error: str | None) -> None:
        """Count a health check, or a rollout that could not connect."""
        health = self.health[url]
        if error is None:
            health.failures, health.successes = 0, health.successes + 1
            health.healthy = health.healthy or health.successes > 1
        else:
            health.failures, health.successes = health.failures + 1, 0
            health.healthy = health.healthy and health.failures < 3
            health.last_error = error

    async def check_for_ever(
        self, pools: Callable[[], list[Pool]], came_back: Callable[[str], None]
    ) -> None:
        """Check the health of every container every few seconds."""
        while True:
            urls = {url: pool for pool in pools() if pool.state != "archived" for url in pool.urls}
            await asyncio.gather(*(self._check(url, pool) for url, pool in urls.items()))
            for url in urls:
                if not self.health[url].away:
                    came_back(url)
            await asyncio.sleep(_CHECK_EVERY)

    async def _check(self, url: str, pool: Pool) -> None:
        marked = {"x-synth-pools-call": "health-check"}
        error = None
        try:
            answer = await self.call(
                "GET",
                url,
                "/health",
                key=_key_or_none(pool),
                timeout=_CHECK_TIMEOUT,
                headers=marked if self._keeps("containers.health_check_header") else None,
            )
            if answer.status >= 500:
                error = f"GET /health answered {answer.status}"
            else:
                error = _unwell(answer)
        except CallFailed as failed:
            if failed.code == "container_timeout" and self.running[url]:
                return
            error = failed.message
        self.checked(url, error)

    def shown(self, url: str) -> dict[str, Any]:
        health = self.health[url]
        return {
            "url": url,
            "health": "healthy" if health.healthy else "unhealthy",
            "running_rollouts": self.running[url] if self._keeps("metrics.containers") else 0,
            "restarts": 0,
            "last_error": health.last_error,
            "pid": None,
        }

    async def ask(self, pool: Pool, url: str | None, name: str, query: str) -> dict[str, Any]:
        """Answer with a container's description of itself.

        Raises:
            Problem: It does not have that, or gives no usable answer.
        """
        if url is None:
            if name not in ECHO_ANSWERS:
                raise Problem("not_found", f"The echo target has no /{name}.")
            return ECHO_ANSWERS[name]
        return await self._direct("GET", pool, url, f"/{name}", query, None, 10.0)

    async def run_direct(
        self, pool: Pool, url: str | None, content: bytes, query: str
    ) -> dict[str, Any]:
        """Post a rollout to a container and return its answer.

        Raises:
            Problem: It gives no usable answer.
        """
        timeout = float(pool.config.get("timeout_seconds") or 600)
        if url is None:
            return await run_echo(json.loads(content), _nowhere)
        if not self._keeps("direct.body_unchanged"):
            content = json.dumps({**json.loads(content), "submission_mode": "sync"}).encode()
        for path in ("/rollouts", "/rollout"):
            try:
                return await self._direct("POST", pool, url, path, query, content, timeout)
            except Problem as problem:
                if problem.code != "not_found":
                    raise
        raise Problem("container_error", f"The container at {url} takes no rollouts.")

    async def _direct(
        self,
        method: str,
        pool: Pool,
        url: str,
        path: str,
        query: str,
        content: bytes | None,
        timeout: float,
    ) -> dict[str, Any]:
        target = f"{path}?{query}" if query and self._keeps("direct.query") else path
        try:
            answer = await self.call(
                method, url, target, key=_key_or_none(pool), content=content, timeout=timeout
            )
        except CallFailed as failed:
            bad = failed.code == "container_bad_response"
            raise Problem("container_error" if bad else failed.code, failed.message) from None
        if answer.status in _DOES_NOT_HAVE and self._keeps("direct.not_found"):
            raise Problem("not_found", f"The container at {url} does not have {path}.")
        try:
            reply = answer.json()
        except (ValueError, RecursionError):
            reply = None
        refused = answer.status // 100 != 2 and self._keeps("direct.errors")
        if refused or not isinstance(reply, dict):
            raise Problem(
                "container_error", f"{path} of {url} answered {answer.status}, or no JSON object."
            )
        return reply if self._keeps("direct.answer_unchanged") else {"answer": reply}


def container_key(config: dict[str, Any]) -> str | None:
    """Return the key of a pool's containers; None if it names none.

    Raises:
        Problem: The variable may not be named, is not set, or is too short.
    """
    name = config.get("container_key_env")
    if name is None:
        return None
    key = os.environ.get(str(name), "")
    if not _KEY_NAME.match(str(name)) or len(key) < _SHORTEST_KEY:
        raise Problem(
            "forbidden_container_key",
            f"config.container_key_env may not be {name!r}, or holds no key of 8 characters here.",
        )
    return key


def _key_or_none(pool: Pool) -> str | None:
    try:
        return container_key(pool.config)
    except Problem:
        return None


async def run_echo(
    request: dict[str, Any], tell: Callable[[dict[str, Any]], Awaitable[None]]
) -> dict[str, Any]:
    """Obey `env`, and answer as a container would.

    Args:
        request: The rollout as it is sent to a container.
        tell: Called with the data of each `agent` event.
    """
    env = request.get("env")
    behaviour = env if isinstance(env, dict) else {}
    delay: Any = behaviour.get("delay")
    seconds = float(delay) if is_number(delay) and 0 <= delay <= 3600 else 0.0
    events: Any = behaviour.get("events")
    fits = is_number(events) and events == int(events) and 0 <= events <= 1000
    count = int(events) if fits else 1
    for step in range(1, count + 1):
        await asyncio.sleep(seconds / (count + 1))
        await tell({"step": step})
    await asyncio.sleep(seconds / (count + 1))
    reward = behaviour.get("reward")
    answer: dict[str, Any] = {
        "rollout_id": request.get("rollout_id"),
        "status": "completed",
        "success_status": "success",
        "echo": request,
    }
    if behaviour.get("fail") is True:
        return {**answer, "status": "failed", "success_status": "failed"}
    value = reward if is_number(reward) else 1.0
    return {**answer, "summary": {"reward": value}, "metrics": {"outcome_reward": value}}


async def _nowhere(_: dict[str, Any]) -> None:
    """Ignore an event."""


async def _read(answer: httpx.Response) -> bytes:
    content = bytearray()
    async for chunk in answer.aiter_bytes():
        content += chunk
        if len(content) > _LARGEST:
            raise CallFailed("container_bad_response", f"The answer is over {_LARGEST} bytes.")
    return bytes(content)


def _unwell(answer: Answer) -> str | None:
    try:
        reply = answer.json()
    except (ValueError, RecursionError):
        return None
    unwell = isinstance(reply, dict) and reply.get("healthy") is False
    return 'GET /health said "healthy": false' if unwell else None


def _joined(base: str, path: str) -> httpx.URL:
    url = httpx.URL(base)
    before, _, query = url.raw_path.partition(b"?")
    route, _, more = path.encode().partition(b"?")
    joined = b"&".join(part for part in (query, more) if part)
    return url.copy_with(raw_path=before.rstrip(b"/") + route + (b"?" + joined if joined else b""))


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError("a number that no double can hold")
    return value
