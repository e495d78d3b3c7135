"""Commands that send a request again: a line for a shell and a line for Python.

Both lines take the key from SYNTH_API_KEY, or that of a container from ENVIRONMENT_API_KEY, so they
can be pasted, stored and mailed.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from typing import overload

from synth_pools.contract.results import Exchange, LongBody

KEY = "${SYNTH_API_KEY}"
MASKED = f"Bearer {KEY}"
OTHER_KEY = "${SYNTH_OTHER_API_KEY}"
CONTAINER_KEY = "${ENVIRONMENT_API_KEY}"
# Nearly right keys: how a shell and Python derive them from the key.
NEARLY = {
    "${SYNTH_API_KEY%?}": "[:-1]",
    "${SYNTH_API_KEY#?}": "[1:]",
    "${SYNTH_API_KEY^^}": ".upper()",
}
_PLACEHOLDERS = (KEY, OTHER_KEY, CONTAINER_KEY, *NEARLY)
_KEYS = re.compile("(" + "|".join(map(re.escape, _PLACEHOLDERS)) + ")")
# Headers with secrets.
_SECRET = ("authorization", "cookie", "proxy-authorization", "set-cookie")
_LONG = 2_000
_RUN = re.compile(rb"(.{1,64}?)\1{31,}", re.DOTALL)
# Bytes that one search for a repetition covers.
_SEARCHED = 64 * 1024
# Headers that the sending tool sets by itself.
_IMPLIED = {"host", "content-length", "accept-encoding", "connection", "user-agent", "accept"}


def masked_headers(headers: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Return the headers of a foreign exchange with masked secrets.

    Args:
        headers: The names, in lower case, and the values.
    """
    return tuple(
        (name, MASKED if name == "authorization" else "***" if name in _SECRET else value)
        for name, value in headers
    )


def curl_line(exchange: Exchange) -> str:
    """Return a curl command that sends the request of an exchange again."""
    parts = ["curl -sS -i"]
    if any("text/event-stream" in value for _, value in exchange.request_headers):
        parts = ["curl -sS -i -N --max-time 30"]
    if exchange.method != "GET" or exchange.request_body is not None:
        parts.append("-X " + shlex.quote(exchange.method))
    # The shell inserts a key; nothing else in a URL is special to it.
    url = f'"{exchange.url}"' if KEY in exchange.url else shlex.quote(exchange.url)
    parts.append(f"--path-as-is {url}")
    for name, value in _shown_headers(exchange):
        if _KEYS.search(value):
            quoted = value.replace('"', '\\"')
            parts.append(f'-H "{name}: {quoted}"')
        else:
            parts.append("-H " + shlex.quote(f"{name}: {value}" if value else f"{name};"))
    body = exchange.request_body
    if body is None:
        return " ".join(parts)
    text = _as_text(body) if isinstance(body, bytes) else None
    if text is not None and not (text.startswith("@") or len(text) > _LONG):
        return " ".join([*parts, "--data-binary " + shlex.quote(text)])
    write = f"import sys; sys.stdout.buffer.write({bytes_expression(body)})"
    return f"python3 -c {shlex.quote(write)} | " + " ".join([*parts, "--data-binary @-"])


def python_line(exchange: Exchange) -> str:
    """Return a Python statement that sends the request of an exchange again with httpx."""
    headers = ", ".join(
        f"{name!r}: {_python_value(value)}" for name, value in _shown_headers(exchange)
    )
    url = _python_value(exchange.url)
    arguments = [repr(exchange.method), url, f"headers={{{headers}}}"]
    if exchange.request_body is not None:
        arguments.append(f"content={bytes_expression(exchange.request_body)}")
    arguments.append("timeout=30")
    return f"import httpx, os; print(httpx.request({', '.join(arguments)}).text)"


def _python_value(value: str) -> str:
    """Return a Python expression of a text, with keys from the environment."""
    parts = [repr(part) for part in _KEYS.split(value)[::2]]
    for number, key in enumerate(_KEYS.findall(value)):
        name = key[2:-1] if key in (OTHER_KEY, CONTAINER_KEY) else KEY[2:-1]
        parts.insert(2 * number + 1, f'os.environ["{name}"]{NEARLY.get(key, "")}')
    return " + ".join(part for part in parts if part != "''") or "''"


def bytes_expression(body: bytes | LongBody) -> str:
    """Return a Python expression for a body, short even for megabytes of repetitions."""
    short = in_short(body)
    if isinstance(short, bytes):
        return repr(short)
    pieces = [f"{part!r} * {count}" if count > 1 else repr(part) for part, count in short.parts]
    if short.left_out:
        # As many dots stand for the omitted bytes.
        pieces.append(f"b'.' * {short.left_out}")
    return " + ".join(pieces)


@overload
def in_short(body: bytes | LongBody) -> bytes | LongBody: ...
@overload
def in_short(body: None) -> None: ...
def in_short(body: bytes | LongBody | None) -> bytes | LongBody | None:
    """Return a long body as its repeated parts, and a short one unchanged."""
    if body is None or isinstance(body, LongBody) or len(body) <= _LONG:
        return body
    parts: list[tuple[bytes, int]] = []
    position = size = 0
    while position < len(body) and size < _LONG:
        run = _RUN.search(body[position : position + _SEARCHED])
        plain = run.start() if run else _SEARCHED
        if plain:
            part = body[position : position + min(plain, _LONG - size)]
            parts.append((part, 1))
            size += len(part)
            position += len(part)
            if len(part) < plain:
                break
        if run:
            count = _repetitions(body, position, run[1])
            parts.append((run[1], count))
            size += len(run[1])
            position += count * len(run[1])
    return LongBody(tuple(parts), len(body), max(0, len(body) - position))


def _repetitions(body: bytes, position: int, unit: bytes) -> int:
    """Count the repetitions of a unit from a position, in doubling steps."""
    count, step = 0, 1
    while True:
        if body.startswith(unit * step, position + count * len(unit)):
            count += step
            step *= 2
        elif step > 1:
            step //= 2
        else:
            return count


def _shown_headers(exchange: Exchange) -> list[tuple[str, str]]:
    return [(n, v) for n, v in exchange.request_headers if n.lower() not in _IMPLIED]


def _as_text(body: bytes) -> str | None:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return None if "\x00" in text else text
