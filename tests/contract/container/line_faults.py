"""Faults of containers whose answers have lines of events before them."""

from __future__ import annotations

import json
from collections.abc import Callable

from tests.contract.container.faults import FAULTS, SUBMIT, fault, is_contact, plant
from tests.contract.container.right_container import LINES, Act, Answer, Ask, Call

__all__ = ["FAULTS"]

_LARGE = json.dumps({"status": "completed", "note": "x" * 300_000}).encode()


def in_lines(change: Callable[[list[bytes]], list[bytes]]) -> Act:
    """Change the lines of an answer with events, which come at its end."""

    async def act(call: Call, ask: Ask) -> Answer:
        answer = await ask(call)
        if answer.lines is not None:
            text = b"".join([piece async for piece in answer.lines])
            changed_lines = change([line for line in text.split(b"\n") if line])
            answer = Answer(200, text=b"\n".join(changed_lines).decode(), media_type=LINES)
        return answer

    return act


plant("line_is_text", "protocol.lines", in_lines(lambda lines: [b"step 1", *lines]))
plant("line_is_an_event", "protocol.lines", in_lines(lambda lines: [b'{"sequence": 1}', *lines]))
plant("lines_come_twice", "protocol.lines", in_lines(lambda lines: [lines[0], *lines]))
plant("lines_backwards", "protocol.lines", in_lines(lambda lines: [lines[1], lines[0], lines[2]]))
plant(
    "a_line_is_lost",
    "protocol.lines",
    in_lines(lambda lines: [lines[0], lines[2].replace(b'_count": 4', b'_count": 3')]),
)
plant("lines_without_an_answer", "protocol.lines", in_lines(lambda lines: lines[:1]))
plant("large_line", "protocol.lines", in_lines(lambda lines: [*lines[:2], _LARGE, b""]))
plant(
    "lines_of_another",
    "protocol.lines",
    in_lines(lambda lines: [*lines[:2], b'{"rollout_id": "x", "status": "completed"}']),
)
plant("lines_at_the_end", "rollouts.lines", in_lines(lambda lines: lines))


@fault("protocol.modes")
async def lines_for_all(call: Call, ask: Ask) -> Answer:
    if call.route == SUBMIT and not is_contact(call):
        call.accept = LINES
    return await ask(call)
