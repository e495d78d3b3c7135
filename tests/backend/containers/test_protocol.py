"""Answers of containers: how far down they are looked at, and in which form they are asked for."""

from __future__ import annotations

from typing import Any

import pytest

from synth_pools.backend.containers.answers import _sequence
from synth_pools.backend.domain.validation import cut
from tests.support.backend_server import Server
from tests.support.containers import Seen, http, odd_container


@pytest.mark.parametrize(
    ("value", "outline"),
    [
        ({"a": {"b": 1}, "c": "x"}, {"a": {"b": 1}, "c": "x"}),
        ({"a": {"b": {"c": 1}, "d": [1]}}, {"a": {"b": {}, "d": []}}),
        ([[[1]], 2], [[[]], 2]),
    ],
)
def test_what_is_further_down_is_left_out(value: Any, outline: Any) -> None:
    assert cut(value, 2) == outline


@pytest.mark.parametrize(
    ("sequence", "place"),
    [(0, 0), (7, 7), (2**63 - 1, 2**63 - 1), (2**63, -1), (True, -1), ("7", -1), (None, -1)],
)
def test_the_place_of_an_event_is_one_that_can_be_stored(sequence: Any, place: int) -> None:
    assert _sequence({"sequence": sequence}) == place


def test_a_container_that_refuses_lines_is_asked_without_them(server: Server) -> None:
    def answer(request: Seen) -> bytes:
        if request.headers["accept"] == "application/json":
            return http(200, {"rollout_id": request.json["rollout_id"], "reward": 1})
        return http(406, {"detail": "Not Acceptable"})

    with odd_container(answer) as container:
        pool_id = server.pool(container_url=container.url)
        rollouts = [server.run(pool_id)["id"] for _ in range(2)]
        posts = [request for request in container.requests if request.method == "POST"]
        assert [post.json["rollout_id"] for post in posts] == [rollouts[0], *rollouts]
    with odd_container(lambda _: http(406, {})) as container:
        rollout = server.run(server.pool(container_url=container.url))
        assert rollout["error"]["details"]["status"] == 406
        assert container.paths() == ["POST /rollouts"] * 2
