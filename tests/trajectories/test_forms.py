"""Messages, sums and token sequences of trajectories."""

from __future__ import annotations

from typing import Any

import pytest

from synth_pools.trajectories.messages import model_usage
from synth_pools.trajectories.sequences import token_sequences
from tests.support.conversations import chat_messages


def trajectory(*steps: dict[str, Any], **agent: Any) -> dict[str, Any]:
    numbered = [{"step_id": number, **step} for number, step in enumerate(steps, 1)]
    return {"agent": {"name": "a", "version": "1", **agent}, "steps": numbered}


def sampled(prompt: list[int], completion: list[int], **more: Any) -> dict[str, Any]:
    logprobs = [-token / 10 for token in completion]
    metrics = {"prompt_token_ids": prompt, "completion_token_ids": completion, "logprobs": logprobs}
    return {"source": "agent", "message": "", "metrics": metrics | more}


def test_a_trajectory_becomes_the_messages_of_a_chat() -> None:
    call = {"tool_call_id": "c1", "function_name": "add", "arguments": {"a": 1}}
    results = [{"source_call_id": "c1", "content": "3"}, {"content": "The door is open."}]
    assert chat_messages(
        trajectory(
            {"source": "system", "message": "Add."},
            {"source": "user", "message": "old", "is_copied_context": True},
            {
                "source": "agent",
                "message": "I add.",
                "reasoning_content": "Hm.",
                "tool_calls": [call],
                "observation": {"results": results},
            },
        )
    ) == [
        {"role": "system", "content": "Add."},
        {"role": "user", "content": "old"},
        {
            "role": "assistant",
            "content": "I add.",
            "reasoning_content": "Hm.",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "add", "arguments": {"a": 1}}}
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "name": "add", "content": "3"},
        {"role": "user", "content": "The door is open."},
    ]


def test_pictures_have_the_form_of_openai() -> None:
    text = {"type": "text", "text": "a door"}
    picture = {"type": "image", "source": {"media_type": "image/png", "path": "door.png"}}
    content = [text, {"type": "image_url", "image_url": {"url": "door.png"}}]
    call = {"tool_call_id": "c1", "function_name": "look", "arguments": {}}
    results = [{"source_call_id": "c1", "content": [text, picture]}]
    first, _, last = chat_messages(
        trajectory(
            {"source": "user", "message": [text, picture]},
            {
                "source": "agent",
                "message": "",
                "tool_calls": [call],
                "observation": {"results": results},
            },
        )
    )
    assert (first["content"], last["content"]) == (content, content)


def test_usage_is_summed_for_each_model() -> None:
    steps: list[dict[str, Any]] = [
        {"source": "agent", "message": "", "metrics": {"prompt_tokens": 3, "cached_tokens": 1}},
        {"source": "agent", "message": "", "metrics": {"prompt_tokens": 4, "cost_usd": 0.5}},
        {"source": "agent", "message": "", "model_name": "n", "metrics": {"completion_tokens": 2}},
        {"source": "agent", "message": "", "metrics": None},
    ]
    assert model_usage(trajectory(*steps, model_name="m")) == {
        "m": {"prompt_tokens": 7, "cached_tokens": 1, "cost_usd": 0.5},
        "n": {"completion_tokens": 2},
    }


def test_prompts_that_go_on_are_one_sequence() -> None:
    # The tool's answer is 7 and 8: ids that the model was sent, and did not sample.
    steps = (sampled([1, 2], [5, 6]), sampled([1, 2, 5, 6, 7, 8], [9]))
    [sequence] = token_sequences(trajectory(*steps)) or []
    assert (sequence.prompt, sequence.response) == ([1, 2], [5, 6, 7, 8, 9])
    assert sequence.mask == [1, 1, 0, 0, 1]
    assert sequence.logprobs == [-0.5, -0.6, 0, 0, -0.9]
    assert sequence.ends


def test_a_prompt_that_does_not_begin_with_the_earlier_one_begins_a_row() -> None:
    # The second prompt has other ids for the same text, the third is shorter.
    steps = (sampled([1, 2], [5]), sampled([1, 2, 4, 7], [9]), sampled([1, 2], [3]))
    sequences = token_sequences(trajectory(*steps)) or []
    assert [sequence.prompt for sequence in sequences] == [[1, 2], [1, 2, 4, 7], [1, 2]]
    assert [sequence.response for sequence in sequences] == [[5], [9], [3]]
    assert [sequence.ends for sequence in sequences] == [False, False, True]


def test_conversations_that_take_turns_are_a_row_each() -> None:
    steps = (
        sampled([1], [2]),
        sampled([9], [8]),
        sampled([1], [3]),
        sampled([1, 2, 4], [5]),
        # It begins with the first row of before, which has gone on otherwise.
        sampled([1, 2, 6], [7]),
        sampled([9, 8, 8], [8]),
        sampled([1, 2, 4, 5, 4], [5]),
    )
    sequences = token_sequences(trajectory(*steps)) or []
    rows = [(sequence.prompt, sequence.response, sequence.mask) for sequence in sequences]
    assert rows == [
        ([1], [3], [1]),
        ([1, 2, 6], [7], [1]),
        ([9], [8, 8, 8], [1, 0, 1]),
        ([1], [2, 4, 5, 4, 5], [1, 0, 1, 0, 1]),
    ]
    assert [sequence.ends for sequence in sequences] == [False, False, False, True]


def test_a_prompt_goes_on_with_the_longest_row() -> None:
    steps = (sampled([1], [2]), sampled([1, 2, 3], [4]), sampled([1], [2]))
    sequences = token_sequences(trajectory(*steps, sampled([1, 2, 3, 4, 5], [6]))) or []
    rows = [(sequence.prompt, sequence.response) for sequence in sequences]
    assert rows == [([1], [2]), ([1], [2, 3, 4, 5, 6])]


@pytest.mark.parametrize(
    "steps",
    [
        (),
        ({"source": "user", "message": "x"},),
        (sampled([1], [2]), {"source": "agent", "message": "", "metrics": {"prompt_tokens": 1}}),
        (sampled([1], []),),
        ({**sampled([1], [2]), "is_copied_context": True},),
    ],
)
def test_what_lacks_ids_has_no_sequences(steps: tuple[dict[str, Any], ...]) -> None:
    assert token_sequences(trajectory(*steps)) is None


def test_logprobs_of_another_length_are_none() -> None:
    steps = (sampled([1], [2], logprobs=None), sampled([1, 2], [3]))
    [sequence] = token_sequences(trajectory(*steps)) or []
    assert (sequence.response, sequence.logprobs) == ([2, 3], None)
    [sequence] = token_sequences(trajectory(sampled([1], [2, 3], logprobs=[-1]))) or []
    assert sequence.logprobs is None
