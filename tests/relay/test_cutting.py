"""Members that are cut out of the events of streams: as out of other answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from synth_pools.relay import additions
from synth_pools.relay.additions import EventCut, names_to_cut, without

NAMES = names_to_cut(["return_token_ids", "logprobs", "stream_options"])
TOKEN = {"token": "word", "logprob": -0.5, "bytes": [1, 2], "top_logprobs": []}
EVENTS: dict[str, Any] = {
    "nothing": {"id": "c", "choices": [{"index": 0, "delta": {"content": "a"}}]},
    "usual": {
        "id": "c",
        "choices": [
            {"index": 0, "delta": {"content": "a"}, "logprobs": {"content": [TOKEN]}}
            | {"finish_reason": None, "token_ids": [1, 2]},
            {"index": 1, "logprobs": None, "token_ids": None, "x": 1},
        ],
        "usage": None,
        "prompt_token_ids": [3],
    },
    "usage beside a choice": {"choices": [{"index": 0}], "usage": {"prompt_tokens": 1}},
    "first": {"token_ids": [1], "choices": [{"logprobs": {}, "index": 0}]},
    "alone": {"choices": [{"token_ids": []}]},
    "further in": {"id": "c", "choices": [{"delta": {"x": 1, "token_ids": [1]}, "logprobs": 2}]},
    "in what is cut": {"id": "c", "choices": [{"index": 0, "logprobs": {"a": 1, "token_ids": 2}}]},
    "in a text": {"id": "c", "x": ',"token_ids":[1]', "token_ids": [1], "y": "token_ids"},
    "of a provider": {"id": "c", "provider_specific_fields": {"x": 1, "token_ids": [1]}},
    "lists of lists": {"id": "c", "choices": [[{"x": 1, "token_ids": [1]}], 3]},
}


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), (" ,\t", " : ")])
@pytest.mark.parametrize("name", EVENTS)
def test_events_are_cut_as_other_answers_are(name: str, separators: tuple[str, str]) -> None:
    text = json.dumps(EVENTS[name], separators=separators)
    assert EventCut(NAMES).cut(text, EVENTS[name]) == without(text, NAMES)


@pytest.mark.parametrize("text", ['{[1]:2,"token_ids":1}', '{"choices":[{]}', '{"a":1', "{"])
def test_what_is_no_json_stays_as_it_is(text: str) -> None:
    assert without(text, NAMES) == text


def test_a_name_that_comes_twice_is_cut_twice() -> None:
    text = '{"x":1,"token_ids":[1],"token_ids":[2]}'
    assert EventCut(NAMES).cut(text, json.loads(text)) == '{"x":1}'


def test_a_usual_event_needs_no_walk_through_all_members(monkeypatch: pytest.MonkeyPatch) -> None:
    text = json.dumps(EVENTS["usual"])
    expected = without(text, NAMES)
    monkeypatch.setattr(additions, "without", None)
    assert EventCut(NAMES).cut(text, EVENTS["usual"]) == expected
