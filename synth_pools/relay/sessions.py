"""Session of a rollout: its calls become steps, and are counted against its limits."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from synth_pools.relay.dialects import (
    DIALECTS,
    Choice,
    ModelAnswer,
    content_text,
    objects_in,
    tools_of,
)
from synth_pools.relay.upstream import Upstream
from synth_pools.serving.masking import Mask

_log = logging.getLogger(__name__)

_LONGEST_ERROR = 2000
_TOKENS_A_PRICE = 1_000_000
_ROLES = {"developer": "system", "function": "tool"}
_END_OF_THOUGHT = "</think>"


class Recorder(Protocol):
    """Trajectory that steps are added to, as `synth_pools.container.Trajectory` is."""

    tool_definitions: Any

    def add_message(self, message: Mapping[str, Any], **fields: Any) -> dict[str, Any] | None:
        """Add a message of a chat; return its step, None where there is none to show."""


@dataclass(slots=True, eq=False)
class _Place:
    """Place in a conversation, behind a message of it.

    Attributes:
        key: The hash of all messages up to here.
        step: The number of the step that has the message; 0 before all, None if nobody tells.
        call: The last call that was answered up to here.
        before: The place before the message.
        is_followed: True once a message came after it.
    """

    key: int
    step: int | None
    call: int
    before: _Place | None = None
    is_followed: bool = False


class EpisodeLimits(NamedTuple):
    """Limits of an episode; beyond them its calls are refused.

    Attributes:
        max_turns: The most calls that are answered.
        max_tokens: The tokens, of prompts and answers, after which there is no further call.
        max_cost_usd: The cost after which there is no further call.
    """

    max_turns: int | None = None
    max_tokens: int | None = None
    max_cost_usd: float | None = None


@dataclass(frozen=True, slots=True)
class ModelPrice:
    """Price of a model in dollars for a million tokens; cached ones of a prompt cost as others."""

    input: float
    output: float
    cached: float | None = None

    def cost(self, usage: Mapping[str, float]) -> float:
        """Return the cost of a call."""
        prompt = usage.get("prompt_tokens", 0)
        cached = min(usage.get("cached_tokens", 0), prompt)
        dollars = (prompt - cached) * self.input
        dollars += cached * (self.input if self.cached is None else self.cached)
        dollars += usage.get("completion_tokens", 0) * self.output
        return dollars / _TOKENS_A_PRICE


class RelaySession:
    """Calls of one rollout.

    Args:
        upstream: The server that they are passed on to.
        recorder: Receives their messages.
        limits: The limits of the episode.
        prices: The prices of models by their names, `*` for any other model, for servers that say
            no cost.
        token: The secret that calls find the session by; None for a random one.
        on_step: Called after each message, with its step.
        on_endless: Called once for a limit of tokens or dollars that an answer cannot count for,
            with the name of the limit, what its server does not say, and the model.
        on_refusal: Called once, with the sentence of the limit that has ended the episode, before
            the client is told.

    Attributes:
        mask: The mask of keys in all that is recorded.
        turns: The calls that were answered.
        estimated_usd: The part of their cost that follows from prices.
        running: The calls under way.
        refusal: The sentence of the limit that has ended the episode; None while none has.
    """

    def __init__(
        self,
        upstream: Upstream,
        recorder: Recorder,
        limits: EpisodeLimits | None = None,
        prices: Mapping[str, ModelPrice] | None = None,
        token: str | None = None,
        on_step: Callable[[dict[str, Any] | None], object] = lambda _: None,
        on_endless: Callable[[str, str, str], object] = lambda *_: None,
        on_refusal: Callable[[str], object] = lambda _: None,
    ) -> None:
        self.upstream, self.recorder = upstream, recorder
        self.on_step, self.on_refusal = on_step, on_refusal
        self._on_endless = on_endless
        self._endless: set[str] = set()
        self.limits, self.prices = limits or EpisodeLimits(), prices or {}
        self.token = token or secrets.token_urlsafe(32)
        # A name may stand behind it.
        self.mask = Mask([upstream.key or "", self.token.partition(".")[0]])
        self.turns, self.tokens, self.cost_usd, self.estimated_usd = 0, 0.0, 0.0, 0.0
        self.running: set[ModelCall] = set()
        self._call_count = 0
        self._start = _Place(0, 0, 0)
        self._places: dict[int, _Place] = {}
        # Their keys are ids of responses, and of conversations that the server keeps.
        self._responses: dict[str | None, _Place] = {}
        self.refusal: str | None = None

    def __repr__(self) -> str:
        return f"RelaySession({self.upstream!r}, {self.turns} turns)"

    @property
    def limit(self) -> str | None:
        """Name of the limit that allows no further call; None while all do."""
        amounts = (self.turns + len(self.running), self.tokens, self.cost_usd)
        for amount, (name, limit) in zip(amounts, self.limits._asdict().items(), strict=True):
            if limit is not None and amount >= limit:
                return name
        return None

    def refuse(self, kind: str, body: Mapping[str, Any]) -> str:
        """Record once that a limit has ended the episode, and in which call; return the sentence.

        What the call would have told the model is new, such as the last answer of a tool.
        """
        if self.refusal is None:
            limit = self.limit or ""
            self.refusal = f"The episode was stopped: {limit} is {getattr(self.limits, limit)}."
            self.on_refusal(self.refusal)
            call = ModelCall(self, kind, self._call_count, body)
            self._note_sent(call, body)
            message = {"role": "system", "content": self.refusal}
            after = call.place and call.place.step
            self._add(message, is_copied_context=True, extra={"limit": limit}, after=after)
        return self.refusal

    def begin(self, kind: str, body: Mapping[str, Any]) -> ModelCall:
        """Record what is new in the conversation of a call."""
        self._call_count += 1
        call = ModelCall(self, kind, self._call_count, body)
        self.running.add(call)
        self._note_sent(call, body)
        return call

    def _note_sent(self, call: ModelCall, body: Mapping[str, Any]) -> None:
        try:
            self._begin(call, body)
        # An agent may send anything; it is passed on in any case.
        except Exception:  # noqa: BLE001
            _log.exception("a call is not recorded")

    def _begin(self, call: ModelCall, body: Mapping[str, Any]) -> None:
        if self.recorder.tool_definitions is None and body.get("tools"):
            self.recorder.tool_definitions = self.mask.value(tools_of(body))
        messages = DIALECTS[call.kind].messages(body)
        place = self._responses.get(call.goes_on_from, self._start)
        if place is not self._start and messages and _key_after(0, messages[0]) in self._places:
            # Instructions are sent with each of the responses.
            messages = messages[1:]
        # The longest beginning that an earlier call had.
        start = 0
        for message in messages:
            following = self._place_after(place, message)
            if following is None:
                break
            place, start = following, start + 1
        call.after = place.call
        for number in range(start, len(messages)):
            if _role(messages[number]) == "tool" and place.is_followed:
                place = self._copy_caller(place, messages[:number])
            place = self._add_sent(place, messages[number])
        call.place = place

    def _place_after(self, place: _Place, message: Mapping[str, Any]) -> _Place | None:
        key = _key_after(place.key, message)
        following = self._places.get(key)
        if following is None and _role(message) == "assistant":
            following = self._places.get(_key_after_answer(place.key, message))
            if following is not None:
                # It will be sent like this again and again.
                self._places[key] = following
        return following

    def _copy_caller(self, place: _Place, messages: Sequence[Mapping[str, Any]]) -> _Place:
        """Add a call of tools once more, which got other results in another conversation."""
        count = 1
        while count <= len(messages) and _role(messages[-count]) == "tool":
            count += 1
        if count > len(messages) or _role(messages[-count]) != "assistant":
            return place
        for _ in range(count):
            place = place.before or self._start
        for message in messages[-count:]:
            place = self._add_sent(place, message)
        return place

    def _add_sent(self, place: _Place, message: Mapping[str, Any]) -> _Place:
        is_answer = _role(message) == "assistant"
        step = self._add(message, is_copied_context=is_answer, after=place.step)
        # Results are in the step of their call.
        is_inside = _role(message) == "tool" and (step is None or "observation" in step)
        number = place.step if is_inside else None
        return self._go_on(place, message, number if is_inside or step is None else step["step_id"])

    def _go_on(
        self, place: _Place, message: Mapping[str, Any], step: int | None, call: int | None = None
    ) -> _Place:
        place.is_followed = True
        keys = [_key_after(place.key, message)]
        following = _Place(keys[0], step, place.call if call is None else call, place)
        if _role(message) == "assistant":
            keys.append(_key_after_answer(place.key, message))
        for key in keys:
            if call is not None or key not in self._places:
                self._places[key] = following
        return following

    def end(self, call: ModelCall, answer: ModelAnswer) -> None:
        """Record an answer."""
        self.running.discard(call)
        # Some clients go away as soon as they have the last piece of a stream.
        is_over = answer.error is None and all(choice.finish_reason for choice in answer.choices)
        if answer.choices and is_over:
            call.error = None
        is_answered = bool(answer.choices) and call.error is None
        usage = dict(answer.usage)
        names = (str(answer.model or ""), call.model or "", "*")
        price = next((self.prices[name] for name in names if name in self.prices), None)
        if price is not None and usage and "cost_usd" not in usage:
            usage["cost_usd"] = usage["estimated_cost_usd"] = price.cost(usage)
        if is_answered:
            self._warn(usage, self.mask.text(str(call.model or answer.model)))
        self.turns += is_answered or (call.is_abandoned and bool(answer.choices))
        self.tokens += usage.get("prompt_tokens", 0) + usage.get("completion_tokens", 0)
        self.cost_usd += usage.get("cost_usd", 0)
        self.estimated_usd += usage.get("estimated_cost_usd", 0)
        for number, choice in enumerate(answer.choices or [Choice({"role": "assistant"})]):
            metrics: dict[str, Any] = {} if number else dict(usage)
            metrics |= {
                "prompt_token_ids": answer.prompt_token_ids or None,
                "completion_token_ids": choice.token_ids or None,
                "logprobs": choice.logprobs or None,
            }
            extra = call.describe() | {"finish_reason": choice.finish_reason}
            if len(answer.choices) > 1:
                extra["choice"] = number
            before = call.place or self._start
            step = self._add(
                choice.message,
                metrics={name: value for name, value in metrics.items() if value is not None},
                model_name=answer.model or call.model,
                # A call that failed teaches nothing.
                is_copied_context=not is_answered,
                llm_call_count=None if number else 1,
                extra={name: value for name, value in extra.items() if value is not None},
                after=before.step,
            )
            number_of_step = None if step is None else step["step_id"]
            place = self._go_on(before, choice.message, number_of_step, call.number)
            if not number:
                self._responses |= {answer.response_id: place, call.conversation: place}

    def _warn(self, usage: Mapping[str, float], model: str) -> None:
        tokens = usage.keys() & {"prompt_tokens", "completion_tokens"}
        lacks = {"max_tokens": "" if tokens else "usage"}
        lacks["max_cost_usd"] = "" if "cost_usd" in usage else lacks["max_tokens"] or "cost"
        for name, lack in lacks.items():
            if lack and getattr(self.limits, name) is not None and name not in self._endless:
                self._endless.add(name)
                self._on_endless(name, lack, model)

    def _add(self, message: Mapping[str, Any], **fields: Any) -> dict[str, Any] | None:
        role = _role(message)
        if role not in ("system", "user", "assistant", "tool"):
            fields["extra"] = {**fields.get("extra", {}), "role": role}
            role = "user"
        # Numbers alone, and many of them.
        metrics = {"metrics": fields.pop("metrics")} if "metrics" in fields else {}
        message, fields = self.mask.value([{**message, "role": role}, fields])
        step = self.recorder.add_message(message, **fields, **metrics)
        self.on_step(step)
        return step

    def close(self) -> set[asyncio.Task[Any]]:
        """Stop the calls under way; return their tasks, which record them."""
        tasks = set()
        for call in self.running:
            call.fail("the episode has ended")
            if call.task is not None:
                call.task.cancel()
                tasks.add(call.task)
        return tasks


class ModelCall:
    """Call of a model, until its answer was recorded."""

    def __init__(
        self, session: RelaySession, kind: str, number: int, body: Mapping[str, Any]
    ) -> None:
        self.session, self.kind, self.number = session, kind, number
        self.model = str(body["model"]) if body.get("model") else None
        conversation = body.get("conversation")
        if isinstance(conversation, Mapping):
            conversation = conversation.get("id")
        self.conversation = str(conversation) if conversation else None
        # The server adds the messages to this.
        self.goes_on_from = str(body.get("previous_response_id") or self.conversation)
        self.place: _Place | None = None
        self.after = 0
        self.task = asyncio.current_task()
        self.read_answer: Callable[[], ModelAnswer] = ModelAnswer
        self.error: dict[str, Any] | None = None
        # True once its client has gone away, whatever it has read of the answer.
        self.is_abandoned = False
        self._started_at = time.time()
        self._first_byte_seconds: float | None = None
        self._start = time.monotonic()

    def note_first_byte(self) -> None:
        """Note that the answer begins."""
        if self._first_byte_seconds is None:
            self._first_byte_seconds = round(time.monotonic() - self._start, 4)

    def fail(self, reason: str, status: int | None = None) -> None:
        """Note why it has no complete answer: the first reason counts."""
        # Before it is cut, which could leave a part of a key.
        message = self.session.mask.text(reason)[:_LONGEST_ERROR]
        self.error = self.error or {"message": message, "status": status}

    def end(self, lack: str | None = None) -> None:
        """Record its end once, with what `read_answer` reads of the answer.

        Args:
            lack: What is wrong with an answer that has no error of its own.
        """
        if self not in self.session.running:
            return
        try:
            answer = self.read_answer()
        # An answer may be anything; it was passed on.
        except Exception as error:  # noqa: BLE001
            self.fail(f"the answer cannot be read: {error!r}")
            answer = ModelAnswer()
        if (reason := answer.error or lack) is not None:
            self.fail(reason)
        try:
            self.session.end(self, answer)
        except Exception:  # noqa: BLE001
            _log.exception("an answer is not recorded")

    def describe(self) -> dict[str, Any]:
        """Return what a step says of its call."""
        return {
            "call": self.number,
            # Where it does not go on from the answer before.
            "after_call": self.after if self.after != self.number - 1 else None,
            "path": self.kind,
            "started_at": round(self._started_at, 3),
            "seconds": round(time.monotonic() - self._start, 4),
            "first_byte_seconds": self._first_byte_seconds,
            "error": self.error,
        }


def _role(message: Mapping[str, Any]) -> str:
    role = str(message.get("role"))
    return _ROLES.get(role, role)


def _key_after(key: int, message: Mapping[str, Any]) -> int:
    """Return the key of the place behind a message."""
    calls = tuple(map(_call_key, objects_in(message.get("tool_calls"))))
    # A picture is no other picture.
    text = content_text(message.get("content"), _mark_of).strip()
    return hash((key, _role(message), text, calls, str(message.get("tool_call_id"))))


def _mark_of(part: Any) -> str:
    """Return a text that tells a part from others, without a copy of its megabytes."""
    values = part.values() if isinstance(part, Mapping) else ()
    return str(hash(tuple(map(_mark_of, values)))) if values else str(part)


def _key_after_answer(key: int, message: Mapping[str, Any]) -> int:
    """Return a key of the place behind an answer that is the same if it comes back a bit changed.

    Clients leave out what the model thought, or change spaces. Calls of tools are told by their
    ids, names and arguments alone.
    """
    calls = []
    for call_id, name, arguments in map(_call_key, objects_in(message.get("tool_calls"))):
        with contextlib.suppress(ValueError, RecursionError):
            arguments = json.dumps(json.loads(arguments), sort_keys=True)
        calls.append((call_id, name, arguments))
    text = content_text(message.get("content")).rpartition(_END_OF_THOUGHT)[2]
    return hash((key, tuple(calls), "" if calls else " ".join(text.split())))


def _call_key(call: Mapping[str, Any]) -> tuple[str, str, str]:
    function = call.get("function", call.get("custom"))
    function = function if isinstance(function, Mapping) else call
    arguments = function.get("arguments", function.get("input"))
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return str(call.get("id")), str(function.get("name")), text
