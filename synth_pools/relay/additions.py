"""Arguments added to calls, for token ids and usage, and the removal of what they bring."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Any

_IDS: dict[str, Any] = {"return_token_ids": True}
# Streams of SGLang have arguments of their own.
_IDS_OF_STREAMS = {"return_input_ids_in_sglext": True, "return_output_ids_in_sglext": True}
_BROUGHT = {
    "return_token_ids": {"prompt_token_ids", "token_ids", "response_token_ids"},
    "return_input_ids_in_sglext": {"sglext"},
    "stream_options": {"usage"},
}
_NESTED = {"choices", "provider_specific_fields"}
_REFUSALS = (400, 403, 422)
_MOST_REMEMBERED = 1000

_decode = json.JSONDecoder().raw_decode
_space = re.compile(r"[ \t\n\r]*")


class Additions:
    """Arguments that an upstream takes, by what it refused before."""

    def __init__(self) -> None:
        self._refused: dict[tuple[Any, ...], set[str]] = {}
        self._alternatives: set[tuple[Any, ...]] = set()

    def choose(self, kind: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments to add to a call; `kind` is its path."""
        if kind == "responses" or not body:
            return {}
        key = _key(kind, body)
        added: dict[str, Any] = dict(_IDS_OF_STREAMS if key in self._alternatives else _IDS)
        added["logprobs"] = True if kind == "chat/completions" else 1
        # `logprobs` of 0 asks for those of the answer alone.
        added = {
            name: value
            for name, value in added.items()
            if body.get(name) is None or body[name] is False
        }
        options = body.get("stream_options") or {}
        # Some servers take the text "false" for what it says.
        has_usage = not isinstance(options, dict) or options.get("include_usage") is True
        if body.get("stream") and not has_usage:
            added["stream_options"] = {**options, "include_usage": True}
        refused = self._refused.get(key, ())
        return {name: value for name, value in added.items() if name not in refused}

    def learn(
        self, kind: str, body: Mapping[str, Any], added: Collection[str], status: int, text: str
    ) -> bool:
        """Read a refusal; return whether the call is worth another try with other arguments."""
        if status not in _REFUSALS or not added:
            return False
        key = _key(kind, body)
        culprits = {name for name in added if name in text}
        if "return_token_ids" in culprits and body.get("stream") and "stream" in text:
            self._alternatives.add(key)
        if len(self._refused) >= _MOST_REMEMBERED:
            self._refused.clear()
            self._alternatives.clear()
        # A refusal that names no argument is of any of them, or of the call itself. Limits need the
        # usage of streams: that goes last.
        suspects = culprits or set(added) - {"stream_options"} or added
        self._refused.setdefault(key, set()).update(suspects)
        return True

    def forget(self, kind: str, body: Mapping[str, Any]) -> None:
        """Take all arguments for allowed again: the call was refused without any, too."""
        self._refused.pop(_key(kind, body), None)


def _key(kind: str, body: Mapping[str, Any]) -> tuple[Any, ...]:
    return kind, str(body.get("model")), bool(body.get("stream"))


def with_arguments(raw: bytes, body: Mapping[str, Any], added: Mapping[str, Any]) -> bytes:
    """Return a call with further arguments, and all else as it was."""
    if not added:
        return raw
    text = raw.strip()
    # JSON may be in UTF-16, too.
    if any(name in body for name in added) or (text[:1], text[-1:]) != (b"{", b"}"):
        return json.dumps({**body, **added}).encode()
    return text[:-1] + b", " + json.dumps(added)[1:].encode()


def names_to_cut(added: Collection[str]) -> set[str]:
    """Return the names of what an answer has for the sake of arguments alone."""
    return set().union(*(_BROUGHT.get(name, {name}) for name in added))


def without(text: str, names: Collection[str]) -> str:
    """Return the JSON of an answer without some members of it and its choices.

    Each of the others stays as it is, to the byte. `logprobs` becomes null, as servers have it.
    """
    try:
        at = _skip(text, 0)
        cut, end = _cut(text, at, names)
    # A name that is no text is a list or an object, too.
    except (ValueError, IndexError, TypeError, RecursionError):
        return text
    return text[:at] + cut + text[end:]


class EventCut:
    """Removal of members from the events of a stream, which `without` would take longer for.

    Args:
        names: The names of the members.
    """

    def __init__(self, names: set[str]) -> None:
        self._names = names
        self._place = re.compile(rf'([,{{])\s*"({"|".join(sorted(names))})"\s*:\s*')

    def cut(self, text: str, value: Mapping[str, Any]) -> str:
        """Return the JSON of an event without the members, as `without` does.

        Args:
            text: The JSON.
            value: The same, parsed.
        """
        if not self._names:
            return text
        parts: list[str] = []
        at = count = 0
        for place in self._place.finditer(text):
            comma, name = place.groups()
            start = place.end()
            count += 1
            if comma == "{":
                # One that comes first takes a comma with it.
                return without(text, self._names)
            if name == "logprobs":
                if not text.startswith("null", start):
                    parts += (text[at:start], "null")
                    at = _decode(text, start)[1]
            elif name != "usage" or text.startswith("null", start):
                parts.append(text[at : place.start()])
                at = _skip(text, _decode(text, start)[1])
        # No text in a string looks like a member, which has its quotes alone, but a member of an
        # object further in does, and stays.
        if count and count != self._count(value):
            return without(text, self._names)
        return "".join(parts) + text[at:] if parts else text

    def _count(self, value: Mapping[str, Any]) -> int:
        """Return how many members `without` would cut."""
        count, nodes = 0, [value]
        for node in nodes:
            count += len(self._names.intersection(node))
            for name in _NESTED:
                if inner := node.get(name):
                    items = inner if isinstance(inner, list) else [inner]
                    nodes += [item for item in items if isinstance(item, dict)]
        return count


def _skip(text: str, at: int) -> int:
    match = _space.match(text, at)
    return match.end() if match else at


def _cut(text: str, at: int, names: Collection[str]) -> tuple[str, int]:
    """Return the object or list at a position without some members, and the position behind it."""
    parts: list[str] = []
    part: str | None
    end, first = at, _skip(text, at + 1)
    if text[first] in "}]":
        end = first
    while text[end] not in "}]":
        start, value_at, name = end + 1, _skip(text, end + 1), ""
        if text[at] == "{":
            name, colon = _decode(text, value_at)
            value_at = _skip(text, _skip(text, colon) + 1)
        is_object = text[at] == "[" and text[value_at] == "{"
        if is_object or (name in _NESTED and text[value_at] in "{["):
            part, value_end = _cut(text, value_at, names)
        else:
            value, value_end = _decode(text, value_at)
            # Usage that comes with choices is given without being asked for.
            if name in names and not (name == "usage" and value is not None):
                part = "null" if name == "logprobs" else None
            else:
                part = text[value_at:value_end]
        end = _skip(text, value_end)
        if part is not None:
            parts.append(text[start:value_at] + part + text[value_end:end])
    # The first member that stays begins where the first of all began.
    return text[at:first] + ",".join(parts).lstrip() + text[end], end + 1
