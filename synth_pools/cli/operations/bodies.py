"""Bodies from the command line: `@file.json`, `@file.yaml`, `-`, `key=value` and `key:=JSON`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from synth_pools.cli.failures import CommandError, needing
from synth_pools.cli.operations.schemas import (
    misspelt_keys,
    problems,
    schema_at,
    schema_named,
    types_of,
)

BODY_HELP = (
    "BODY is one or more of: @FILE (JSON, or YAML where its name ends so), - for standard input, "
    "KEY=VALUE, and KEY:=JSON for a value of any type. A dot leads into an object: "
    "limits.timeout_seconds=60. What comes later wins."
)
BYTES_HELP = "BODY is @FILE, whose bytes are sent as they are, or - for standard input."
_YAML = (".yaml", ".yml")
_LARGEST = 64 * 1024 * 1024
_MOST_PROBLEMS = 3


def body_from_words(words: Sequence[str], name: str, *, required: bool) -> dict[str, Any] | None:
    """Build a body from words of the command line, if any, and check it by the named schema.

    An unknown key that resembles a known one is sent, with a warning on standard error.

    Raises:
        CommandError: A file cannot be read, or the body is missing or does not match its schema.
    """
    schema = schema_named(name)
    if not words:
        if required:
            keys = ", ".join(schema.get("properties", {})) or "any"
            raise CommandError(f"a body is needed: KEY=VALUE, @FILE or -; its keys are {keys}")
        return None
    body: dict[str, Any] = {}
    for word in words:
        if word == "-":
            content = _within_limit(sys.stdin.buffer.read(_LARGEST + 1), "standard input")
            body.update(_read(content, "standard input", yaml=False))
        elif word.startswith("@"):
            path = Path(word[1:]).expanduser()
            body.update(read_object(path))
        else:
            _assign(body, word, schema)
    return validated_body(body, name)


def validated_body(
    body: dict[str, Any],
    name: str,
    *,
    origin: str = "the body",
    warn: Callable[[str], object] | None = None,
) -> dict[str, Any]:
    """Check a body by the named schema, and return it.

    Args:
        body: The body.
        name: The name of the schema.
        origin: Where it comes from, for the error.
        warn: Called for each key that is nearly a known one; None to print it.

    Raises:
        CommandError: It does not match.
    """
    schema = schema_named(name)
    lines = list(islice(problems(body, schema), _MOST_PROBLEMS))
    if lines:
        raise CommandError(f"{origin} cannot be sent: {'; '.join(lines)}")
    for line in islice(misspelt_keys(body, schema), _MOST_PROBLEMS):
        # Imported here: few bodies need a warning.
        from synth_pools.cli.output import say

        (warn or say)(f"synth-pools: warning: {line}")
    return body


def bytes_from_words(words: Sequence[str], name: str, *, required: bool) -> bytes | None:
    """Read the bytes of a body from the only word of the command line, if there is one.

    Raises:
        CommandError: The file cannot be read, or the body is missing or no file.
    """
    if not words and not required:
        return None
    if len(words) != 1 or not (words[0] == "-" or words[0].startswith("@")):
        raise CommandError(f"the body is {name}: write one @FILE, or - for standard input")
    if words[0] == "-":
        return _within_limit(sys.stdin.buffer.read(_LARGEST + 1), "standard input")
    return _content(Path(words[0][1:]).expanduser())


def read_object(path: Path) -> dict[str, Any]:
    """Read a file with one object, JSON or YAML by its name.

    Raises:
        CommandError: It cannot be read, or is not an object; with line and column.
    """
    return _read(_content(path), str(path), yaml=path.suffix.lower() in _YAML)


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return _within_limit(file.read(_LARGEST + 1), str(path))
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from None


def _within_limit(content: bytes, origin: str) -> bytes:
    if len(content) > _LARGEST:
        raise CommandError(f"{origin}: larger than {_LARGEST // 1024 // 1024} MiB")
    return content


def _read(content: bytes, origin: str, *, yaml: bool) -> dict[str, Any]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise CommandError(f"{origin}: line {line}: not UTF-8") from None
    value = _yaml(text, origin) if yaml else parse_json(text, origin)
    if not isinstance(value, dict):
        raise CommandError(f"{origin}: must hold an object, not {type(value).__name__}")
    return value


def parse_json(text: str, origin: str) -> Any:
    """Decode JSON.

    Raises:
        CommandError: It is not JSON; with line and column.
    """
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise CommandError(f"{origin}: {where}: not JSON: {error.msg}") from None
    except ValueError as error:
        raise CommandError(f"{origin}: not JSON: {error}") from None
    except RecursionError:
        raise CommandError(f"{origin}: nested too deeply") from None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


def _yaml(text: str, origin: str) -> Any:
    with needing(f"{origin}: YAML", "cli"):
        # Imported here: JSON does not need it.
        import yaml
    try:
        value = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "somewhere"
        raise CommandError(f"{origin}: {where}: not YAML: {error.problem}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise CommandError(f"{origin}: not YAML: {' '.join(str(error).split())}") from None
    try:
        # YAML also has dates, sets and keys that are no strings, which JSON cannot hold.
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise CommandError(f"{origin}: YAML that JSON has no form for: {error}") from None


def _assign(body: dict[str, Any], word: str, schema: Any) -> None:
    key, equals, text = word.partition("=")
    as_json = key.endswith(":")
    path = key.removesuffix(":").split(".")
    if not equals or not all(path):
        raise CommandError(f"{word[:60]!r} is no part of a body: write KEY=VALUE, @FILE or -")
    name = ".".join(path)
    place = body
    for step in path[:-1]:
        inner = place.setdefault(step, {})
        if not isinstance(inner, dict):
            raise CommandError(f"{name}: {step} is no object in what came before")
        place = inner
    place[path[-1]] = parse_json(text, name) if as_json else _value(text, schema_at(schema, path))


def _value(text: str, schema: Any) -> Any:
    """Parse a value by the type in its schema; if any type is allowed, as JSON or else as text."""
    types = types_of(schema)
    if types is not None and set(types) <= {"string", "null"}:
        return text
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        # The check of the whole body reports a text in the place of another type.
        return text
    if types is not None and "string" in types and any(problems(value, schema)):
        return text
    return value
