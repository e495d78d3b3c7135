"""Output of commands: tables for people, the service's JSON for programs."""

from __future__ import annotations

import json
import os
import shutil
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import chain
from textwrap import wrap
from typing import Any, TextIO, TypeVar

import click

from synth_pools.cli.failures import CommandError, needing

F = TypeVar("F", bound=Callable[..., Any])

FORMATS = ("table", "json", "jsonl", "yaml", "id")
_WIDTH = 80
_LONGEST_CELL = 60
# Keys whose values are of no use if they are cut.
_WRAPPED = ("error", "message", "detail")
# Lines of a nested value on a terminal: counts are whole, and a request or a result is short.
_NESTED_LINES = 4
_COLOURS = {
    "active": "green",
    "cancelled": "yellow",
    "completed": "green",
    "error": "red",
    "failed": "red",
    "paused": "yellow",
    "queued": "cyan",
    "running": "blue",
    "warming": "cyan",
}


def form_option(text: str, forms: Sequence[str] = ("table", "json")) -> Callable[[F], F]:
    """Return the option of a command for the form of its answer, `form`.

    Args:
        text: The help.
        forms: The forms, beginning with the default.
    """
    return click.option(
        "-o",
        "--output",
        "form",
        type=click.Choice(forms),
        default=forms[0],
        show_default=True,
        help=text,
    )


def write_bytes(content: bytes) -> None:
    """Write bytes to standard output unchanged, with a line feed at the end."""
    sys.stdout.flush()
    stream = getattr(sys.stdout, "buffer", None)
    text = content if content.endswith(b"\n") else content + b"\n"
    if stream is None:
        sys.stdout.write(text.decode("utf-8", "replace"))
        return
    stream.write(text)
    stream.flush()


def write_answer(content: bytes, form: str, columns: Sequence[str] = ()) -> None:
    """Write the JSON of an answer in one of the `FORMATS`, a list as a table of `columns`."""
    if form == "json":
        if content:
            write_bytes(content)
        return
    value = decode_answer(content)
    items = value.get("items") if isinstance(value, dict) else None
    if form == "jsonl":
        for text in iter_items(content) if isinstance(items, list) else [one_line(content)]:
            write_bytes(text)
    elif form == "yaml":
        write_text(as_yaml(value))
    elif form == "id":
        objects = items if isinstance(items, list) else [value]
        write_text("".join(f"{id_of(item)}\n" for item in objects))
    elif isinstance(items, list):
        write_text(object_table(items, columns))
    else:
        write_text(fields(value))


def write_pages(pages: Iterable[bytes], form: str, columns: Sequence[str] = ()) -> None:
    """Write the pages of a list as one answer in one of the `FORMATS`."""
    pages = iter(pages)
    first = next(pages)
    key = "items" if "items" in decode_answer(first) else "lines"
    second = next(pages, None) if form in ("json", "table", "yaml") else None
    if second is None or (form == "table" and key != "items"):
        for page in chain((first, second) if second is not None else (first,), pages):
            write_answer(page, form, columns)
        return
    pages = chain((first, second), pages)
    if form == "json":
        before = f'{{"{key}":[\n'.encode()
        for item in (item for page in pages for item in iter_items(page, key)):
            write_bytes(before + item)
            before = b","
        write_bytes((before if before != b"," else b"") + b'],"next_cursor":null}')
        return
    items = (item for page in pages for item in decode_answer(page)[key])
    if form == "table":
        rows = [{name: _column(item, name) for name in columns} for item in items]
        write_text(object_table(rows, columns, is_flat=True))
        return
    write_text(f"{key}:\n")
    for item in items:
        write_text(as_yaml([item]))
    write_text("next_cursor: null\n")


def decode_answer(content: bytes) -> Any:
    """Decode the JSON of an answer; an empty body is an object without keys."""
    if not content:
        return {}
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise CommandError(f"the answer is not JSON: {error}") from None


def iter_items(content: bytes, name: str = "items") -> Iterator[bytes]:
    """Yield the items of a list, each on one line, unchanged if the service wrote it so."""
    text = content.decode("utf-8")
    scan = json.JSONDecoder().raw_decode
    at = _skip(text, text.index("{") + 1)
    while text[at] != "}":
        key, at = scan(text, at)
        at = _skip(text, _skip(text, at) + 1)
        if key != name or text[at] != "[":
            _, at = scan(text, at)
        else:
            at = _skip(text, at + 1)
            while text[at] != "]":
                value, end = scan(text, at)
                source = text[at:end]
                yield (json.dumps(value) if "\n" in source or "\r" in source else source).encode()
                at = _skip(text, end)
                at = _skip(text, at + 1) if text[at] == "," else at
            at += 1
        at = _skip(text, at)
        at = _skip(text, at + 1) if text[at] == "," else at


def _skip(text: str, at: int) -> int:
    while text[at] in " \t\r\n":
        at += 1
    return at


def one_line(content: bytes) -> bytes:
    """Return a document on one line, unchanged if it already has one line."""
    text = content.strip()
    return text if b"\n" not in text else json.dumps(json.loads(text)).encode()


def as_yaml(value: Any) -> str:
    """Write a value as YAML.

    Raises:
        CommandError: The extra `cli` is not installed.
    """
    with needing("--output yaml", "cli"):
        # Imported here: other formats do not need it.
        import yaml
    text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=_WIDTH)
    return text


def write_text(text: str, *, to_stderr: bool = False) -> None:
    """Write text, without colours where it goes to no terminal."""
    colour = has_colour(sys.stderr if to_stderr else sys.stdout)
    click.echo(text, nl=False, err=to_stderr, color=colour)


def say(text: str) -> None:
    """Write a message to standard error."""
    click.echo(text, err=True, color=has_colour(sys.stderr))


def has_colour(stream: TextIO) -> bool:
    """Tell whether a stream is a terminal that takes colours."""
    return is_terminal(stream) and not (
        os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    )


def is_terminal(stream: TextIO) -> bool:
    """Tell whether a stream is a terminal, on which long lines are cut or wrapped."""
    try:
        return stream.isatty()
    except (AttributeError, ValueError):
        return False


def width() -> int:
    """Return the width of the terminal, or 80 elsewhere."""
    return shutil.get_terminal_size((_WIDTH, 24)).columns


def id_of(value: Any) -> str:
    """Return the id of an object; `-` if it has none."""
    names = ("id", "rollout_id", "task_id", "pool_id", "path", "name")
    keys = value if isinstance(value, dict) else {}
    return safe_text(next((str(keys[name]) for name in names if keys.get(name)), "-"))


def object_table(rows: Sequence[Any], columns: Sequence[str], *, is_flat: bool = False) -> str:
    """Lay out objects as a table whose columns are keys, with dots for nested ones.

    With `is_flat` the names of columns are keys themselves.
    """
    names = list(columns) or (list(rows[0])[:5] if rows and isinstance(rows[0], dict) else [])
    heads = [name.rpartition(".")[2].replace("_", " ").upper() for name in names]
    value_of = dict.__getitem__ if is_flat else _column
    cells = [[_table_cell(value_of(row, name), name) for name in names] for row in rows]
    return grid(heads, cells)


def _column(row: Any, name: str) -> Any:
    value = value_at(row, name)
    if value is None and name in ("cost_usd", "run_seconds"):
        return _figure(row, name)
    return "echo" if name == "container_url" and value is None and runs_on_echo(row) else value


def _figure(rollout: Any, name: str) -> Any:
    """Return the cost or the seconds of a rollout in a list, which has no summary."""
    # Imported here: other lists need none of the client.
    from synth_pools import RolloutOutcome

    if name == "cost_usd":
        return RolloutOutcome(0, {}, rollout, None).usage.get(name)
    times = [value_at(rollout, key) for key in ("started_at", "finished_at")]
    try:
        start, end = map(datetime.fromisoformat, times)
        return (end - start).total_seconds()
    except (TypeError, ValueError):
        return None


def runs_on_echo(pool: Any) -> bool:
    """Tell whether a pool has no containers, so that the built-in echo target answers."""
    paths = ("container_url", "container_urls", "config.process", "config.image")
    is_free = value_at(pool, "target") == "arbitrary"
    return is_free and not any(value_at(pool, path) for path in paths)


def _table_cell(value: Any, name: str) -> str:
    text = cell(value)
    if name.endswith("_at") and text[19:20] == "." and text.endswith("Z"):
        # With fractions of seconds a list of rollouts is wider than most terminals.
        return f"{text[:19]}Z"
    return text


def grid(heads: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> str:
    """Lay out texts as a table, no wider than the terminal; some columns are right-aligned."""
    widths = [max(map(_width, column)) for column in zip(heads, *rows, strict=True)]
    lines = []
    for number, line in enumerate([heads, *rows]):
        cells = [
            f"{' ' * (size - _width(text))}{text}"
            if at in right
            else f"{text}{' ' * (size - _width(text))}"
            for at, (text, size) in enumerate(zip(line, widths, strict=True))
        ]
        text = "  ".join(cells).rstrip()
        if is_terminal(sys.stdout):
            text = text if len(text) <= width() else f"{text[: width() - 1]}…"
        if has_colour(sys.stdout):
            text = click.style(text, bold=True) if number == 0 else coloured(text)
        lines.append(text)
    return "".join(f"{line}\n" for line in lines)


def coloured(line: str) -> str:
    """Colour the names of states in a line."""
    return "".join(
        click.style(part, fg=_COLOURS[part]) if part in _COLOURS else part for part in _words(line)
    )


def _words(line: str) -> Iterator[str]:
    # Blanks are kept, so that columns stay aligned.
    import re  # loaded by click already

    yield from re.split(r"(\s+)", line)


def fields(value: Any) -> str:
    """Lay out an object with a line for each key; nested values as JSON.

    On a terminal a text is cut at the width, a nested value after some lines, and an error nowhere.
    """
    if not isinstance(value, dict):
        return f"{cell(value)}\n"
    if not value:
        return ""
    names = [safe_text(str(name)) for name in value]
    size = max(map(len, names))
    room = max(20, width() - size - 2)
    lines = []
    for name, inner in zip(names, value.values(), strict=True):
        is_wrapped = name in _WRAPPED or isinstance(inner, dict | list)
        longest = room * _NESTED_LINES if is_wrapped else room
        text = cell(inner, longest=None if name in _WRAPPED else longest)
        if is_wrapped and is_terminal(sys.stdout):
            text = f"\n{' ' * (size + 2)}".join(wrap(text, room))
        line = coloured(text) if has_colour(sys.stdout) else text
        lines.append(f"{name.ljust(size)}  {line}\n")
    return "".join(lines)


def value_at(value: Any, path: str) -> Any:
    """Return the value at a path of keys with dots between them, if any."""
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value


def cell(value: Any, *, longest: int | None = _LONGEST_CELL) -> str:
    """Write a value as a cell of a table, on a terminal with at most `longest` characters."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = safe_text(text)
    if longest is None or not is_terminal(sys.stdout):
        return text
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def safe_text(text: str) -> str:
    """Escape control characters, which a terminal would obey."""
    return "".join(
        character
        if character.isprintable() or unicodedata.category(character) in ("Zs", "So")
        else character.encode("unicode_escape").decode()
        for character in text
    )


def _width(text: str) -> int:
    # Wide characters of East Asian scripts take two columns.
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return len(text) + wide
