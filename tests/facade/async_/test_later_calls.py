"""Operations that no client had before this one: what they send, refuse and return."""

from __future__ import annotations

from typing import Any

import pytest

from synth_pools import AsyncContainerPoolsClient
from tests.support.recording import RecordingServer, Reply
from tests.support.surface import LATER, Call, Sent


@pytest.mark.parametrize(("call", "sent"), LATER, ids=str)
async def test_each_sends_what_the_document_says(
    server: RecordingServer, client: AsyncContainerPoolsClient, call: Call, sent: Sent
) -> None:
    answer: Any = {"a": [1.0, None]}
    server.reply_with(Reply.json(answer))
    assert repr(await call.on(client)) == repr(answer)
    request = server.last
    assert (request.method, request.target) == (sent.method, sent.target)
    assert (request.json if request.body else None) == sent.json
