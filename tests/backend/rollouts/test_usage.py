"""Usage that containers report, in summaries."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.backend_server import Server
from tests.support.containers import http, odd_container


@pytest.mark.parametrize(
    ("reported", "expected"),
    [
        (
            {"input_tokens": 10, "output_tokens": 2.0, "cost_usd": 0.5, "cached_tokens": 4},
            {"input_tokens": 10, "output_tokens": 2, "cost_usd": 0.5, "cached_input_tokens": 4},
        ),
        (
            {"prompt_tokens": 10, "seconds": 1.5, "x" * 65: 1, "text": "1", "flag": True},
            {"input_tokens": 10, "seconds": 1.5},
        ),
        ({"input_tokens": 2**63, "output_tokens": 0.5, "cost_usd": -1, "huge": 10**400}, None),
        ({"input_tokens": True, "output_tokens": "3", "cost_usd": None}, None),
        ({f"n{number}": number for number in range(40)}, {f"n{n}": n for n in range(32)}),
        ([1], None),
    ],
)
def test_a_summary_has_the_numbers_that_the_container_reports(
    server: Server, reported: Any, expected: Any
) -> None:
    answer = {"status": "completed", "usage": reported}
    with odd_container(lambda _: http(200, answer)) as container:
        rollout = server.run(server.pool(container_url=container.url))
    assert server.get(f"/v1/rollouts/{rollout['id']}/summary")["usage"] == expected
    assert "more" not in server.get(f"/v1/rollouts/{rollout['id']}/usage")
