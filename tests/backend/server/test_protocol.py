"""Bad HTTP is refused or the connection closed, in the error schema, and nobody else notices."""

from __future__ import annotations

import logging

import pytest

from tests.support.backend_server import KEY, Server
from tests.support.raw_http import Nonsense, answer_to, judge, nonsense


@pytest.mark.parametrize("row", nonsense(KEY), ids=lambda row: str(row.name))
def test_bytes_that_are_no_good_http(
    server: Server, row: Nonsense, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert judge(row, answer_to(server.port, row.sent)) is None
    server.get("/v1/capabilities")
    assert [record for record in caplog.records if record.exc_info] == []
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
    assert KEY not in caplog.text
