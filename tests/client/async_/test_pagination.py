"""Iteration over all pages."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from synth_pools import (
    AsyncContainerPoolsClient,
    DecodeError,
    NotFoundError,
    RequestValidationError,
)
from tests.support.fault_server import FaultServer, Seen
from tests.support.faults import Fault, answer, reset

pytestmark = pytest.mark.one_library

P = "pool_1"


def pages_of(count: int, size: int, *, name: str = "items", last: Any = None) -> Any:
    """Make a service with `count` rollouts; `last` is the cursor of its last page."""

    def choose(request: Seen) -> Fault:
        start = int(request.query.get("cursor", "0"))
        items = [{"id": f"r{number}"} for number in range(start, min(start + size, count))]
        more = start + size < count
        return answer({name: items, "next_cursor": str(start + size) if more else last})

    return choose


@pytest.mark.parametrize("prefetch", [False, True])
@pytest.mark.parametrize("name", ["items", "rollouts"])
async def test_all_items_of_all_pages(
    server: FaultServer, client: AsyncContainerPoolsClient, prefetch: bool, name: str
) -> None:
    server.play(choose=pages_of(23, 5, name=name))
    expected = [f"r{number}" for number in range(23)]
    for items in (
        client.iter_rollouts(P, state="running", limit=5, prefetch=prefetch),
        client.rollouts.iter(P, state="running", limit=5, prefetch=prefetch),
        client.iter_global_rollouts(state="running", limit=5, prefetch=prefetch),
        client.agent_rollouts.iter(state="running", limit=5, prefetch=prefetch),
    ):
        server.requests.clear()
        assert [item["id"] async for item in items] == expected
        assert len(server.requests) == 5
        assert all(request.query["state"] == "running" for request in server.requests)
        assert all(request.query["limit"] == "5" for request in server.requests)


async def test_a_page_is_asked_for_when_it_is_needed(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    server.play(choose=pages_of(23, 5))
    items = client.iter_rollouts(P, cursor="5")
    assert server.connections == 0
    ids = [(await items.__anext__())["id"] for _ in range(5)]
    assert (ids, len(server.requests)) == ([f"r{number}" for number in range(5, 10)], 1)
    await items.__anext__()
    assert len(server.requests) == 2
    await items.aclose()
    assert [item async for item in items] == []


@pytest.mark.parametrize(
    ("page", "count"),
    [
        ({"items": [{"id": 1}]}, 1),
        ({"items": [{"id": 1}], "next_cursor": None}, 1),
        ({"items": [{"id": 1}], "next_cursor": ""}, 1),
        ({"items": [{"id": 1}], "cursor": "given"}, 1),
        ({"items": [{"id": 1}], "next_cursor": "given"}, 1),
        ({"items": [{"id": 1}], "next_cursor": None, "cursor": "other"}, 1),
        ({"pools": [{"id": 1}, {"id": 2}]}, 2),
        ({"data": [{"id": 1}]}, 1),
        ([{"id": 1}], 1),
        ({"items": []}, 0),
        ({}, 0),
    ],
)
async def test_every_shape_of_a_last_page(
    server: FaultServer, client: AsyncContainerPoolsClient, page: Any, count: int
) -> None:
    server.play(answer(page))
    assert len([pool async for pool in client.iter_pools(cursor="given")]) == count
    assert len(server.requests) == 1


async def test_a_number_is_a_cursor_too(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    server.play([answer({"pools": [{"id": 1}], "cursor": 7}), answer({"pools": [], "cursor": 7})])
    assert len([pool async for pool in client.iter_pools()]) == 1
    assert [request.query.get("cursor") for request in server.requests] == [None, "7"]


async def test_trouble_between_pages(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    server.play(
        [
            answer({"items": [{"id": 1}], "next_cursor": "a"}),
            reset(),
            answer({}, 503),
            answer({"items": [{"id": 2}], "next_cursor": "b"}),
            answer({"detail": "no such pool"}, 404),
        ]
    )
    items = []
    with pytest.raises(NotFoundError):
        async for item in client.iter_rollouts(P, prefetch=True):
            items += [item["id"]]
    assert items == [1, 2]


async def test_what_is_no_page(server: FaultServer, client: AsyncContainerPoolsClient) -> None:
    page: Any
    for page in ({"items": 3}, {"other": []}, "text", 7):
        server.play(answer(page))
        with pytest.raises(DecodeError, match="holds no list"):
            await client.iter_pools().__anext__()


def test_bad_arguments_are_refused_at_once(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    bad: Any
    for bad in ({"limit": "7"}, {"state": 7}, {"cursor": 7}, {"prefetch": 1}):
        (name,) = bad
        for make in (
            client.iter_pools,
            client.iter_global_rollouts,
            client.agent_rollouts.iter,
            partial(client.iter_rollouts, P),
        ):
            with pytest.raises(RequestValidationError, match=f"^{name} must be"):
                make(**bad)
    with pytest.raises(RequestValidationError, match="^pool_id"):
        client.rollouts.iter("")
    assert server.connections == 0
