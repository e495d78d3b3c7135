"""Results of rollouts, read from a target's answer: state, reward, usage and artifacts.

Containers of several generations answer in different formats, and may answer nonsense in any field.
A reward or artifacts of another form fail the rollout, since its result would be lost silently.
Other fields that cannot be parsed are left out; the result keeps the complete answer anyway.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, cast

from synth_pools.backend.artifacts.extraction import UnusableArtifactsError, extract
from synth_pools.backend.domain import json_text
from synth_pools.backend.domain.target import Answer
from synth_pools.backend.domain.validation import is_answer
from synth_pools.backend.limits import Limits
from synth_pools.backend.resources.byte_budget import Reservation
from synth_pools.backend.resources.workers import Workers
from synth_pools.backend.settings import Settings
from synth_pools.backend.storage.rollout_results import RolloutResult, column_text, failure

_FAILED_STATES = frozenset(
    {"aborted", "canceled", "cancelled", "error", "failed", "terminated", "timed_out", "timeout"}
)
_SUCCESS_STATES = frozenset({"success", "succeeded", "completed", "ok"})
_MESSAGE_LIMIT = 2000
_MOST_TOKENS = 10**15

# Paths of the reward in an answer: a field, or an object and a field in it.
_REWARDS = (
    ("metrics", "outcome_reward"),
    ("reward_info", "outcome_reward"),
    ("summary", "reward"),
    ("summary", "outcome_reward"),
    ("reward", None),
)

# Names under which containers report the same figure, the most specific first.
_INPUT_TOKENS = ("llm_input_tokens", "input_tokens", "prompt_tokens")
_OUTPUT_TOKENS = ("llm_output_tokens", "output_tokens", "completion_tokens")
_CACHED_TOKENS = ("cached_input_tokens", "cached_tokens")
_COSTS = ("cost_usd", "total_cost_usd")
_USAGE = frozenset({*_INPUT_TOKENS, *_OUTPUT_TOKENS, *_CACHED_TOKENS, *_COSTS, "provider_costs"})
_LARGEST_INTEGER = 2**63 - 1
# Limits of the other numbers, which summaries and events repeat.
_MOST_NUMBERS, _LONGEST_NAME = 32, 64


async def interpret_politely(answer: Answer, settings: Settings, workers: Workers) -> RolloutResult:
    """Return the result in an answer; a large answer is parsed in another process."""
    if answer.is_whole:
        return interpret(answer, settings)
    result = await workers.run(
        _interpret_raw, answer.raw, answer.sent, answer.received, settings.as_limits()
    )
    return replace(result, reserved=cast("Reservation", answer.reserved))


def _interpret_raw(raw: bytes, sent: int, received: int, limits: Limits) -> RolloutResult:
    # The caller has checked that the number of values is within the limit.
    return interpret(Answer(json_text.loads(raw), raw, sent, received), limits)


def interpret(answer: Answer, settings: Limits) -> RolloutResult:
    """Return the result in an answer; a reward or artifacts that cannot be used are a failure."""
    document = answer.document
    failed = _failure_error(document, settings.max_event_bytes)
    # The failure that a container reports is worth more than the form of its answer.
    is_strict = failed == "null"
    try:
        extracted = extract(document, settings, is_strict=is_strict)
    except UnusableArtifactsError as error:
        return failure("container_bad_response", error.message, error.details)
    reward, unusable = _reward(document)
    usage = _usage(answer)
    if unusable is not None and is_strict:
        message = f"The container answered no finite number as {unusable}, the reward."
        return failure(
            "container_bad_response", message, {"field": unusable, "body": _excerpt(document)}
        )
    if not is_answer("run_rollout", document):
        message = "The container answered neither a status nor a reward."
        return failure("container_bad_response", message, {"body": _excerpt(document)})
    result = RolloutResult(
        status="completed" if failed == "null" else "failed",
        result=json_text.dumps(extracted.document),
        reward=json_text.dumps(reward),
        error=failed,
        usage=json_text.dumps(usage),
        figures=(
            _tokens_column(usage["llm_input_tokens"]),
            _tokens_column(usage["llm_output_tokens"]),
            None if usage["cost_usd"] is None else column_text(usage["cost_usd"]),
        ),
    )
    metrics = {**_object(document, "metrics"), "outcome_reward": reward}
    result.metrics = (
        json_text.dumps(metrics) if len(metrics) > 1 else f'{{"outcome_reward":{result.reward}}}'
    )
    if extracted.items:
        result.artifacts = json_text.dumps(extracted.items)
        result.contents = tuple(extracted.contents)
        result.content_rows = tuple(extracted.rows())
    return result


def _reward(document: Mapping[str, Any]) -> tuple[Any, str | None]:
    """Return the reward, or without one the first of its fields that has another value."""
    unusable = None
    for name, key in _REWARDS:
        value = document.get(name) if key is None else _object(document, name).get(key)
        if json_text.is_number(value):
            return value, None
        if value is not None and unusable is None:
            unusable = name if key is None else f"{name}.{key}"
    return None, unusable


def _excerpt(document: Mapping[str, Any]) -> Any:
    text = within(json_text.dumps(document), _MESSAGE_LIMIT)
    return json_text.loads(text.encode("ascii"))


def within(text: str, most_bytes: int) -> str:
    """Return JSON text for an event; an object with its size if it is too large."""
    if len(text) <= most_bytes:
        return text
    return f'{{"truncated":true,"size_bytes":{len(text)}}}'


def event_text(event: Mapping[str, Any], most_bytes: int) -> str:
    """Return JSON for an event of a container; only the sequence number of a large one."""
    text = json_text.dumps(event)
    if len(text) <= most_bytes:
        return text
    return json_text.dumps(
        {"sequence": event["sequence"], "truncated": True, "size_bytes": len(text)}
    )


def _failure_error(document: Mapping[str, Any], most_bytes: int) -> str:
    status, success = document.get("status"), document.get("success_status")
    failed_state = isinstance(status, str) and status.lower() in _FAILED_STATES
    succeeded = success is None or (isinstance(success, str) and success.lower() in _SUCCESS_STATES)
    if succeeded and not failed_state:
        return "null"
    details = {"status": status, "success_status": success}
    error = document.get("error")
    if error is not None:
        details["error"] = error
    texts = [document.get("status_detail"), error, document.get("message")]
    if isinstance(error, dict):
        texts.append(error.get("message"))
    text = next((text for text in texts if isinstance(text, str) and text.strip()), None)
    message = text or f"The container reported {success or status!r}."
    message = message[:_MESSAGE_LIMIT]
    error_text = failure("container_failed", message, details).error
    if len(error_text) > most_bytes:
        # The event has the error; the result keeps the complete answer.
        shorter = {"truncated": True, "size_bytes": len(error_text)}
        error_text = failure("container_failed", message, shorter).error
    return error_text


def _usage(answer: Answer) -> dict[str, Any]:
    """Return the usage that the container reports, and the bytes on the wire."""
    document = answer.document
    summary = _object(document, "summary")
    reports = (_object(document, "usage"), _object(summary, "usage"))
    # Most containers report almost nothing.
    sources = [
        source
        for source in (*reports, _object(document, "metrics"), summary)
        if not _USAGE.isdisjoint(source)
    ]
    cached = _first(sources, _CACHED_TOKENS, integral=True)
    more = {} if cached is None else {"cached_input_tokens": cached}
    for report in filter(None, reports):
        more |= _other_numbers(report)
        break
    costs = (_object(source, "provider_costs") for source in sources)
    return {
        "llm_input_tokens": _first(sources, _INPUT_TOKENS, integral=True),
        "llm_output_tokens": _first(sources, _OUTPUT_TOKENS, integral=True),
        "bytes_uploaded": answer.sent,
        "bytes_downloaded": answer.received,
        "cost_usd": _first(sources, _COSTS),
        "provider_costs": next((cost for cost in costs if cost), {}) if sources else {},
        **({"more": more} if more else {}),
    }


def _tokens_column(value: int | None) -> str | None:
    # Sums of the column must stay within 64 bits.
    return None if value is None or value > _MOST_TOKENS else str(value)


def _other_numbers(report: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers that only the summary of a rollout has."""
    numbers = {
        name: value
        for name, value in report.items()
        if name not in _USAGE and len(name) <= _LONGEST_NAME and json_text.is_number(value)
    }
    return dict(islice(numbers.items(), _MOST_NUMBERS))


def _first(
    sources: Sequence[Mapping[str, Any]], names: tuple[str, ...], *, integral: bool = False
) -> Any:
    for source in sources:
        for name in names:
            if name not in source:
                continue
            value = source[name]
            if not json_text.is_number(value) or value < 0:
                continue
            if not integral:
                return value
            if value == int(value) <= _LARGEST_INTEGER:
                return int(value)
    return None


def _object(document: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = document.get(key)
    return value if isinstance(value, dict) else {}
