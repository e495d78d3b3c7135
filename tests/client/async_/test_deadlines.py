"""Deadlines of calls, with servers that answer late or never."""

from __future__ import annotations

import re
import time
from typing import Self

import httpx
import pytest

from synth_pools import (
    APIConnectionError,
    APITimeoutError,
    AsyncContainerPoolsClient,
    RateLimitError,
    ServerError,
)
from tests.support import faults
from tests.support.fault_server import FaultServer
from tests.support.faults import OK, Fault
from tests.support.leaks import KEY, traceback_with_locals
from tests.support.ports import LARGE, deaf_listener
from tests.support.surface import P

# Delay on a busy machine, shorter than each wait that would be wrong.
SLACK = 20.0


class Timed:
    """Duration of a `with` block."""

    seconds = 0.0

    def __enter__(self) -> Self:
        self._started = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.monotonic() - self._started


@pytest.fixture
def timed() -> Timed:
    return Timed()


@pytest.fixture
def patient(server: FaultServer) -> AsyncContainerPoolsClient:
    """A client that waits between its attempts."""
    return AsyncContainerPoolsClient(api_key=KEY, base_url=server.url, timeout=60)


# An answer whose head takes longer than each deadline, in single bytes.
LONG = faults.message(b"{}", 200, {"X-Long": "x" * 1000})
ENDLESS: list[tuple[str, Fault]] = [
    ("silence", faults.stall()),
    ("silence in the head", faults.stall_at(30)),
    ("silence in the body", faults.stall_at(len(OK) - 4)),
    ("a head in single bytes", faults.dribble(0.05, data=LONG)),
    ("a body in single bytes", faults.chunked([b" "] * 1000, pause=0.05)),
    ("hints without end", faults.interim(*[103] * 3, then=faults.stall())),
]


def has_come(server: FaultServer) -> bool:
    """Tell whether the server reads a request that was sent; one of a closed line may be lost."""
    give_up = time.monotonic() + 5
    while not server.requests and time.monotonic() < give_up:
        time.sleep(0.01)
    return bool(server.requests)


@pytest.mark.parametrize(("name", "fault"), ENDLESS)
async def test_no_server_makes_a_call_last_longer(
    server: FaultServer, patient: AsyncContainerPoolsClient, timed: Timed, name: str, fault: Fault
) -> None:
    await patient.get_pool(P)
    server.play(fault)
    for deadline in (0.4, 4.0, 40.0):
        expected = f"within the deadline of {deadline:g} s"
        with timed, pytest.raises(APITimeoutError, match=re.escape(expected)) as caught:
            await patient.with_options(deadline=deadline).get_pool(P)
        assert deadline - 0.05 <= timed.seconds <= deadline + SLACK
        # A busy machine may pass a short one before it sends, or before the server reads.
        if caught.value.sent and has_come(server):
            break
    assert caught.value.cause == "DeadlineExceeded"
    assert caught.value.__context__ is None
    assert KEY not in traceback_with_locals(caught.value)
    server.wait_for(1)
    assert len(server.requests) == 1
    # The client still works.
    server.play()
    assert await patient.get_pool(P) == {"ok": True}
    await patient.aclose()


async def test_what_comes_in_time_is_not_touched(
    server: FaultServer, patient: AsyncContainerPoolsClient
) -> None:
    server.play([faults.late(0.2), faults.reset(), faults.dribble(0.002)])
    for _ in range(2):
        assert await patient.with_options(deadline=20).get_pool(P) == {"ok": True}
    await patient.aclose()


async def test_a_body_that_is_not_taken(timed: Timed) -> None:
    with deaf_listener() as url:
        client = AsyncContainerPoolsClient(api_key=KEY, base_url=url, timeout=60, deadline=0.4)
        with timed, pytest.raises(APITimeoutError, match=r"within the deadline of 0\.4 s"):
            await client.create_pool({"name": LARGE})
        assert timed.seconds < 0.4 + SLACK
        await client.aclose()


async def test_attempts_share_one_deadline(
    server: FaultServer, patient: AsyncContainerPoolsClient, timed: Timed
) -> None:
    server.play(faults.late(0.3, faults.html(502)))
    for deadline in (2.0, 20.0):
        server.requests.clear()
        with timed, pytest.raises((APITimeoutError, ServerError)):
            await patient.with_options(deadline=deadline, max_retries=1000).get_pool(P)
        assert timed.seconds <= deadline + SLACK
        # A busy machine may pass a short one at the first.
        if len(server.requests) >= 2:
            break
    assert 2 <= len(server.requests) <= deadline / 0.3 + 1
    await patient.aclose()


async def test_a_wait_that_would_outlast_it_is_not_begun(
    server: FaultServer, patient: AsyncContainerPoolsClient, timed: Timed
) -> None:
    server.play(faults.answer({}, 429, Retry_After="30"))
    with timed, pytest.raises(RateLimitError) as caught:
        await patient.with_options(deadline=5).get_pool(P)
    assert timed.seconds < SLACK
    assert caught.value.retry_after == 30
    assert len(server.requests) == 1
    await patient.aclose()


async def test_too_long_a_wait_raises_at_once_with_the_time_in_it(
    server: FaultServer, patient: AsyncContainerPoolsClient, timed: Timed
) -> None:
    server.play(faults.answer({}, 503, Retry_After="61"))
    with timed, pytest.raises(ServerError) as caught:
        await patient.get_pool(P)
    assert timed.seconds < SLACK
    assert caught.value.retry_after == 61
    await patient.aclose()


async def test_a_wait_that_is_asked_for_is_waited(
    server: FaultServer, patient: AsyncContainerPoolsClient
) -> None:
    server.play([faults.answer({}, 429, Retry_After="0.3"), faults.answer()])
    assert await patient.get_pool(P) == {"ok": True}
    first, second = server.requests
    # Some event loops count whole milliseconds.
    assert 0.298 <= second.at - first.at <= 0.3 + SLACK
    await patient.aclose()


async def test_a_constructors_deadline_holds_for_every_call(
    server: FaultServer, timed: Timed
) -> None:
    server.play(faults.stall())
    for deadline in (0.3, 3.0, 30.0):
        client = AsyncContainerPoolsClient(api_key=KEY, base_url=server.url, deadline=deadline)
        sent = 0
        with timed:
            for _ in range(2):
                with pytest.raises(APITimeoutError) as caught:
                    await client.rollouts.create(P, {})
                sent += caught.value.sent
        assert timed.seconds < 2 * deadline + SLACK
        await client.aclose()
        # A busy machine may pass a short one before it sends.
        if sent:
            break
    server.wait_for(1)
    assert all(request.headers["idempotency-key"] for request in server.requests)


async def test_the_time_limit_of_an_attempt_is_its_own(
    server: FaultServer, patient: AsyncContainerPoolsClient, timed: Timed
) -> None:
    await patient.get_pool(P)
    server.play(faults.stall())
    # Only the answer is late: a busy machine may need long to connect.
    limits = httpx.Timeout(60, read=0.2)
    view = patient.with_options(timeout=limits, max_retries=0, deadline=60)
    with timed, pytest.raises(APITimeoutError, match=r"sent nothing for 0\.2 s"):
        await view.get_pool(P)
    assert timed.seconds < 0.2 + SLACK
    await patient.aclose()


async def test_a_service_that_is_down_uses_up_no_deadline(
    server: FaultServer, patient: AsyncContainerPoolsClient
) -> None:
    server.refuse()
    with pytest.raises(APIConnectionError) as caught:
        await patient.with_options(deadline=60, max_retries=1).get_pool(P)
    assert caught.value.cause == "ConnectError"
    await patient.aclose()
