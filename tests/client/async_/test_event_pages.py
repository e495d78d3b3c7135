"""Pages of a rollout's events, and iteration over them."""

from __future__ import annotations

from typing import Any

import pytest

from synth_pools import (
    AsyncContainerPoolsClient,
    DecodeError,
    NotFoundError,
    RequestValidationError,
    ResponseDecodeError,
)
from tests.support.fault_server import FaultServer, Seen
from tests.support.faults import Fault, answer, stall_at

pytestmark = pytest.mark.one_library

P, R = "pool_1", "r_1"
# First part of an answer without an end.
STREAM = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"e\r\n: heartbeat\n\n\r\n"
)


def event(sequence: int) -> dict[str, Any]:
    return {
        "id": f"evt_{sequence:010d}",
        "event": "agent",
        "rollout_id": R,
        "sequence": sequence,
        "timestamp": "2026-11-20T09:30:00.000000Z",
        "data": {},
    }


def page(first: int, last: int, status: str, *, has_more: bool, **more: Any) -> dict[str, Any]:
    events = [event(number) for number in range(first, last + 1)]
    return {
        "rollout_id": R,
        "status": status,
        "events": events,
        "next_sequence": last,
        "has_more": has_more,
        **more,
    }


async def test_a_page_is_asked_for_by_both_names(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    expected = page(3, 4, "running", has_more=False)
    server.play(choose=lambda _: answer(expected))
    for path, call in (
        (f"/v1/pools/{P}/rollouts/{R}/events", client.get_rollout_event_page),
        (f"/v1/pools/{P}/rollouts/{R}/events", client.rollouts.event_page),
    ):
        server.requests.clear()
        assert await call(P, R, after_sequence=2, limit=7) == expected
        assert server.requests[0].path == path
        assert server.requests[0].query == {"after_sequence": "2", "limit": "7", "format": "json"}
    for anywhere in (client.get_global_rollout_event_page, client.agent_rollouts.event_page):
        server.requests.clear()
        assert await anywhere(R) == expected
        assert server.requests[0].path == f"/v1/rollouts/{R}/events"
        assert server.requests[0].query == {"after_sequence": "0", "limit": "200", "format": "json"}


async def test_the_typed_page_is_a_model(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    server.play(choose=lambda _: answer(page(1, 2, "completed", has_more=False)))
    page_model = await client.api.rollouts.get_rollout_event_page(P, R, after_sequence=0)
    assert [event.sequence for event in page_model.events] == [1, 2]
    anywhere = await client.api.agent_rollouts.get_global_rollout_event_page(R)
    assert (anywhere.status, anywhere.has_more, anywhere.next_sequence) == ("completed", False, 2)
    assert server.requests[0].query == {"after_sequence": "0", "limit": "200", "format": "json"}
    assert server.requests[1].query == {"limit": "200", "format": "json"}


async def test_pages_come_until_the_rollout_has_ended(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    """Pages continue after the end while the service reports pending work."""
    script = [
        (0, page(1, 2, "running", has_more=True)),
        (2, page(3, 3, "running", has_more=False)),
        (3, page(4, 3, "running", has_more=False)),
        (3, page(4, 4, "completed", has_more=True)),
        (4, page(5, 5, "completed", has_more=False, publication_pending=True)),
        (5, page(6, 5, "completed", has_more=False, publication_pending=False)),
    ]
    for pages in (
        client.iter_rollout_event_pages(P, R, limit=5, poll_interval=0.001),
        client.rollouts.event_pages(P, R, limit=5, poll_interval=0.001),
        client.iter_global_rollout_event_pages(R, limit=5, poll_interval=0.001),
        client.agent_rollouts.event_pages(R, limit=5, poll_interval=0.001),
    ):
        server.requests.clear()
        remaining = list(script)

        def choose(request: Seen, remaining: list[tuple[int, Any]] = remaining) -> Fault:
            position, sequences = remaining.pop(0)
            assert request.query["after_sequence"] == str(position)
            return answer(sequences)

        server.play(choose=choose)
        sequences = [event["sequence"] async for part in pages for event in part["events"]]
        assert (sequences, remaining) == ([1, 2, 3, 4, 5], [])


@pytest.mark.parametrize(
    "broken",
    [
        {"events": []},
        {"events": [], "next_sequence": True, "has_more": False},
        {"events": [], "next_sequence": 5},
        {"events": {}, "next_sequence": 5, "has_more": False},
        {"events": [], "next_sequence": 4, "has_more": False},
        {"events": [], "next_sequence": 5, "has_more": True},
        {"events": [{}], "next_sequence": 5, "has_more": False},
        [],
    ],
)
async def test_a_page_that_leads_nowhere_is_an_error(
    server: FaultServer, client: AsyncContainerPoolsClient, broken: Any
) -> None:
    server.play(choose=lambda _: answer(broken))
    with pytest.raises(DecodeError, match="a page of events"):
        await client.rollouts.event_pages(P, R, after_sequence=5).__anext__()


async def test_a_service_that_answers_a_stream_all_the_same(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    """A stream has no end, so nothing of it is read."""
    server.play(choose=lambda _: stall_at(len(STREAM), STREAM))
    with pytest.raises(ResponseDecodeError, match="stream of events"):
        await client.rollouts.event_page(P, R)
    with pytest.raises(ResponseDecodeError, match="stream of events"):
        await client.agent_rollouts.event_pages(R).__anext__()


async def test_an_iteration_can_be_ended(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    server.play(choose=lambda _: answer(page(1, 2, "running", has_more=False)))
    async with client.rollouts.event_pages(P, R) as pages:
        await pages.__anext__()
    assert [item async for item in pages] == []
    assert len(server.requests) == 1


async def test_what_is_refused(server: FaultServer, client: AsyncContainerPoolsClient) -> None:
    for arguments in ({"after_sequence": -1}, {"limit": 0}, {"limit": 1001}, {"limit": "5"}):
        with pytest.raises(RequestValidationError):
            await client.rollouts.event_page(P, R, **arguments)
        with pytest.raises(RequestValidationError):
            client.rollouts.event_pages(P, R, **arguments)
    with pytest.raises(RequestValidationError):
        client.agent_rollouts.event_pages(R, poll_interval=-1)
    assert server.connections == 0
    server.play(choose=lambda _: answer({"detail": "no"}, 404))
    with pytest.raises(NotFoundError):
        await client.rollouts.event_pages(P, R).__anext__()
